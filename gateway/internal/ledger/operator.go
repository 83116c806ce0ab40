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
	}
	return Outcome{}, false
}
