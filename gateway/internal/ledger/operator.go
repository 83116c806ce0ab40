package ledger

import "time"

// newOperatorCommand makes an empty command of the audit log and of operators; nil for any other kind.
func newOperatorCommand(k Kind) Command {
	switch k { //nolint:exhaustive // the others are made by newCommand
	case KindNoteAudit:
		return new(NoteAudit)
	case KindKeepCheckpoint:
		return new(KeepCheckpoint)
	case KindForgetAudit:
		return new(ForgetAudit)
	case KindPutOperator:
		return new(PutOperator)
	case KindStateOperator:
		return new(StateOperator)
	case KindLogin:
		return new(Login)
	case KindUseSession:
		return new(UseSession)
	case KindProposeAct:
		return new(ProposeAct)
	case KindDecideAct:
		return new(DecideAct)
	case KindDoneBy:
		return new(DoneBy)
	}
	return nil
}

// dispatchOperator applies the commands of newOperatorCommand.
func (x *tx) dispatchOperator(now time.Time, cmd Command) (Outcome, bool) {
	switch c := cmd.(type) {
	case *NoteAudit:
		return x.noteAudit(now, c), true
	case *KeepCheckpoint:
		return x.keepCheckpoint(c), true
	case *ForgetAudit:
		return x.forgetAudit(c), true
	case *PutOperator:
		return x.putOperator(now, c), true
	case *StateOperator:
		return x.stateOperator(now, c), true
	case *Login:
		return x.login(now, c), true
	case *UseSession:
		return x.useSession(now, c), true
	case *ProposeAct:
		return x.proposeAct(now, c), true
	case *DecideAct:
		return x.decideAct(now, c), true
	case *DoneBy:
		return x.doneBy(now, c), true
	}
	return Outcome{}, false
}
