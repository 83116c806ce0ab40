package ledger

import (
	"gongji/gateway/internal/auditlog"
	"gongji/gateway/internal/operator"
)

// operatorCommands are samples of the commands of the audit log and of operators.
func operatorCommands() []Command {
	return []Command{
		&NoteAudit{"node-1", [16]byte(bytesOf(11, 16)), []auditlog.Line{sampleLine()}},
		&KeepCheckpoint{sampleCheckpoint()},
		&ForgetAudit{7, sampleHash(12)},
		&PutOperator{sampleRegistration(), operator.RoleAuditor, "li", "wang", true},
		&StateOperator{"chen", OperatorLocked, "li", "wang"},
		&Login{"li", true, sampleTime(1), sampleHash(14), "node-1"},
		&UseSession{sampleHash(15), true},
		&ProposeAct{"a-1", sampleAct(), sampleHash(16), operator.Secure, "li"},
		&DecideAct{"a-1", sampleHash(17), true, "wang", 200, "result"},
		&DoneBy{sampleLine(), []byte("command")},
	}
}

// operatorRecords are samples of what they leave in the state.
func operatorRecords() []sample {
	return []sample{
		of("audit entry", auditlog.Entry{Number: 7, Digest: sampleHash(1), Line: sampleLine()}),
		of("operator", OperatorRecord{
			sampleRegistration(), operator.RoleOperator, OperatorActive, 3, sampleTime(1),
			[]string{"digest"},
			sampleTime(2),
			"li",
		}),
		of("session", SessionRecord{"li", sampleTime(1), sampleTime(2), sampleTime(3)}),
		of("act", ActRecord{
			"a-1", sampleAct(), sampleHash(1), operator.Operate, ActApproved, "li", "wang", sampleTime(1), sampleTime(2),
			sampleTime(3), 204, "result",
		}),
		of("audit head", AuditHead{
			9, sampleHash(1), 3, sampleHash(2), 8, []AuditBatch{{"node-1", [16]byte(bytesOf(3, 16))}},
		}),
	}
}

func sampleRegistration() operator.Registration {
	return operator.Registration{
		Name: "chen", Public: []byte("public"), Salt: []byte("salt"), Iterations: 9, Hash: []byte("hash"),
		Signature: []byte("signature"),
	}
}

func sampleAct() operator.Act {
	return operator.Act{Method: "POST", Target: "/a", ContentType: "application/json", Body: []byte("{}")}
}

func sampleLine() auditlog.Line {
	return auditlog.Line{
		At: sampleTime(1), Noted: sampleTime(2), Node: "node-1", Event: "parcel_refused", Operator: "li", Object: "h-1",
		Result: auditlog.ResultRefused, Count: 3, Attrs: []auditlog.Attr{{Name: "peer", Value: "310000"}},
	}
}

func sampleCheckpoint() auditlog.Checkpoint {
	return auditlog.Checkpoint{
		Region: "110000", Number: 7, Digest: sampleHash(13), At: sampleTime(3), KeyID: "sign-1",
		Signature: []byte("signature"),
	}
}
