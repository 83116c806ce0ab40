package node_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"gongji/crypto"
	"gongji/gateway/internal/rotate"
	"gongji/gateway/internal/vault"
	"gongji/gateway/marked"
)

// TestDiskForgets: when the token key has been rotated, no table of the state, deleted versions included, and no
// snapshot has a token of the old key any more. The log is cut; what stands in its newest segment goes when that is
// full, and the bounds of former tables that Pebble's manifest names go when that begins anew.
func TestDiskForgets(t *testing.T) {
	t.Parallel()
	f := newField(t, shanghai)
	payer := insured(shanghai, 921, "欧阳标记丁", "5000.00")
	nodes := f.places(shanghai, 3, payer)
	startAll(t, nodes...)
	v, err := vault.New(f.keys.Regions[shanghai].Ring, f.keys.Regions[shanghai].Sealer.Hash, func([]byte) {})
	if err != nil {
		t.Fatal(err)
	}
	old, err := v.InForce(crypto.UseToken)
	if err != nil {
		t.Fatal(err)
	}
	until(t, "the rotation begins", func() bool {
		return nodes[0].operator("/admin/v1/keys/rotate", `{"use":"token","operator":"li"}`) == http.StatusOK
	})
	var p rotate.Progress
	until(t, "the rotation has ended", func() bool {
		_, answer := nodes[0].admin(http.MethodGet, "/admin/v1/keys/rotation")
		return json.Unmarshal(answer, &p) == nil && p.Rotation != nil && p.Rotation.Stage == "done"
	})
	until(t, "every disk has forgotten", func() bool {
		return strings.Count(string(f.log.bytes()), `"event":"rotation_forgotten"`) >= len(nodes)
	})
	who := vault.Identity{IDType: "01", Number: payer.IDNumber, Name: payer.Name, Region: string(shanghai)}
	fresh, err := v.TokensUnder(p.InForce["token"], who)
	if err != nil {
		t.Fatal(err)
	}
	gone, err := v.TokensUnder(old, who)
	if err != nil {
		t.Fatal(err)
	}
	h := marked.NewHunt(string(fresh.Token[:]), string(gone.Token[:]), string(gone.Name[:]))
	for _, n := range nodes {
		n.stop()
		if err := h.Files(n.cfg.DataDir); err != nil {
			t.Fatal(err)
		}
	}
	for _, place := range []string{"state", "snapshots", "tables"} {
		if h.Found(place) == 0 || h.Clear(place) > 0 {
			t.Errorf("%s: %d places with the new token, %d with the old one", place, h.Found(place), h.Clear(place))
		}
	}
	t.Logf("files that name an old token as the bound of a table that is gone: %d", h.Clear("files"))
	t.Logf("segments of the log that still have an old token: %d", h.Clear("log"))
}
