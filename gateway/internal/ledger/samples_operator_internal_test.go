package ledger

import "gongji/gateway/internal/auditlog"

// operatorCommands are samples of the commands of the audit log and of operators.
func operatorCommands() []Command {
	return []Command{
		&NoteAudit{"node-1", [16]byte(bytesOf(11, 16)), []auditlog.Line{sampleLine()}},
		&KeepCheckpoint{sampleCheckpoint()},
		&ForgetAudit{7, sampleHash(12)},
	}
}

// operatorRecords are samples of what they leave in the state.
func operatorRecords() []sample {
	return []sample{
		of("audit entry", auditlog.Entry{Number: 7, Digest: sampleHash(1), Line: sampleLine()}),
		of("audit head", AuditHead{
			9, sampleHash(1), 3, sampleHash(2), 8, []AuditBatch{{"node-1", [16]byte(bytesOf(3, 16))}},
		}),
	}
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
