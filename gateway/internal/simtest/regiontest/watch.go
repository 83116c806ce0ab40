package regiontest

import (
	"gongji/consensus"
	"gongji/federation"
	"gongji/gateway/internal/ledger"
)

// watched is a ledger whose state is looked at after every single command, before anything else happens to it.
type watched struct {
	*ledger.Ledger

	code federation.Region
	see  func(federation.Region, ledger.View)
}

// Apply applies, and shows what came of it.
func (w watched) Apply(txn consensus.Txn, c consensus.Command) ([]byte, error) {
	out, err := w.Ledger.Apply(txn, c)
	if err == nil {
		w.see(w.code, w.View(txn))
	}
	return out, err
}

// machine is the state machine of a region's n-th node. The first one is watched where somebody watches.
func (f *Federation) machine(r *Region, n int) consensus.StateMachine {
	if f.config.Watch == nil || n > 0 {
		return r.Nodes[n].Ledger
	}
	return watched{r.Nodes[n].Ledger, r.Code, f.config.Watch}
}
