package rotate

import (
	"context"
	"slices"
	"time"

	"gongji/crypto"
	"gongji/gateway/internal/ledger"
)

// Progress is how the keys at rest and their rotation stand, for operators.
type Progress struct {
	InForce  map[string]string `json:"in_force"` // use → key
	Rotation *Rotation         `json:"rotation"` // the newest; null before the first
	Lacking  []string          `json:"missing_here"`
	// Destroyable are keys that this node still has and nothing in the state needs.
	Destroyable []string `json:"destroyable"`
}

// Rotation is one rotation.
type Rotation struct {
	Number    uint64    `json:"number"`
	Use       string    `json:"use"`
	Old       string    `json:"old"`
	New       string    `json:"new"`
	Stage     string    `json:"stage"`
	Confirmed []string  `json:"confirmed"`
	Missing   []string  `json:"not_confirmed"`
	Step      string    `json:"step,omitempty"`
	Seen      int64     `json:"seen"`
	Changed   int64     `json:"changed"`
	Operator  string    `json:"operator"`
	Started   time.Time `json:"started"`
	Begun     time.Time `json:"in_force_since,omitzero"`
	Moved     time.Time `json:"moved,omitzero"`
	Ended     time.Time `json:"ended,omitzero"`
}

// Progress reads the state, up to date.
func (r *Rotator) Progress(ctx context.Context) (Progress, error) {
	k, err := r.keys(ctx)
	if err != nil {
		return Progress{}, err
	}
	p := Progress{InForce: map[string]string{}, Lacking: r.Lacking(), Destroyable: []string{}}
	if p.Lacking == nil {
		p.Lacking = []string{}
	}
	for _, use := range []ledger.KeyUse{ledger.KeyToken, ledger.KeyData, ledger.KeyEvidence} {
		p.InForce[string(use)] = k.InForce(use)
		ids, err := r.Ring.IDs(crypto.Use(use))
		if err != nil {
			return p, err
		}
		// Only those behind the one in force: a newer one may be waiting for its rotation.
		for _, id := range ids[min(slices.Index(ids, k.InForce(use))+1, len(ids)):] {
			if slices.Contains(ids, k.InForce(use)) && r.MayDestroy(ctx, crypto.Use(use), id) == nil {
				p.Destroyable = append(p.Destroyable, id)
			}
		}
	}
	if u := k.Rotation; u.Number > 0 {
		p.Rotation = &Rotation{
			Number: u.Number, Use: string(u.Use), Old: u.Old, New: u.New, Stage: u.Stage.String(), Step: u.Step.String(),
			Confirmed: append([]string{}, u.Confirmed...), Missing: []string{}, Seen: u.Seen, Changed: u.Changed,
			Operator: u.Operator, Started: u.Started, Begun: u.Begun, Moved: u.Moved, Ended: u.Ended,
		}
		if u.Stage == ledger.RotationPreparing {
			p.Rotation.Missing = append(p.Rotation.Missing, missing(r.members(), u.Confirmed)...)
		}
	}
	return p, nil
}
