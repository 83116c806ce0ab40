package ledger

import (
	"gongji/gateway/internal/auditlog"
)

// AuditHead is where the chain of the audit log stands.
func (v View) AuditHead() (AuditHead, error) {
	h, err := read[AuditHead](v.r, keyAudit, auditHead)
	if err != nil || h == nil {
		return AuditHead{}, err
	}
	return *h, nil
}

// AuditLines visits the lines from a number on, until visit returns false.
func (v View) AuditLines(from uint64, visit func(*auditlog.Entry) bool) error {
	return eachFrom(v.r, auditKey(auditLine, from), prefixEnd(stateKey(keyAudit, auditLine)), visit)
}

// AuditCheckpoints visits the checkpoints from a number on, until visit returns false.
func (v View) AuditCheckpoints(from uint64, visit func(*auditlog.Checkpoint) bool) error {
	return eachFrom(v.r, auditKey(auditCheckpoint, from), prefixEnd(stateKey(keyAudit, auditCheckpoint)), visit)
}
