package federationtest

import (
	"fmt"
	"time"

	"gongji/federation"
)

// The regions of the small federation; Away has no pair with the others.
const (
	Beijing  federation.Region = "110000"
	Shanghai federation.Region = "310000"
	Fuzhou   federation.Region = "350100"
	Away     federation.Region = "650100"
)

// Federation is a small federation with keys: three regions that are open to each other, and one
// that is open to nobody.
type Federation struct {
	Data    federation.DirectoryData
	Sealers map[federation.Region]*Sealer
	Root    *Sealer
}

// Start is the moment around which the small federation's keys and directory are valid: a year on either side.
func Start() time.Time { return time.Date(2026, 11, 1, 8, 0, 0, 0, time.UTC) }

// NewFederation makes the keys and what the directory says.
func NewFederation() (*Federation, error) {
	root, err := NewSealer("root")
	if err != nil {
		return nil, err
	}
	f := &Federation{
		Root: root, Sealers: map[federation.Region]*Sealer{},
		Data: federation.DirectoryData{
			Version: 1, Issued: Start().AddDate(0, 0, -1), Expires: Start().AddDate(1, 0, 0),
			Pairs: []federation.Pair{
				{A: Beijing, B: Shanghai, From: "2026-01-01"},
				{A: Beijing, B: Fuzhou, From: "2026-01-01", Until: "2026-12-31"},
				{A: Shanghai, B: Fuzhou, From: "2026-01-01"},
			},
		},
	}
	for _, r := range []federation.Region{Beijing, Shanghai, Fuzhou, Away} {
		s, err := NewSealer(string(r))
		if err != nil {
			return nil, err
		}
		f.Sealers[r] = s
		f.Data.Members = append(f.Data.Members, federation.Member{
			Code: r, Name: "pool " + string(r), State: federation.MemberOpen, Protocol: 1,
			Aliases: []string{"alias " + string(r)},
			Keys:    []federation.Key{key(federation.UseSign, s.SignKey), key(federation.UseSeal, s.SealKey)},
		})
	}
	return f, nil
}

func key(use federation.KeyUse, of func() (string, []byte)) federation.Key {
	id, public := of()
	return federation.Key{
		ID: id, Use: use, Public: public,
		NotBefore: Start().AddDate(-1, 0, 0), NotAfter: Start().AddDate(1, 0, 0),
	}
}

// Roots are the federation's root: one key of one.
func (f *Federation) Roots() federation.Roots {
	id, public := f.Root.SignKey()
	return federation.Roots{Keys: []federation.RootKey{{ID: id, Public: public}}, Threshold: 1}
}

// Directory signs Data as it stands and reads it.
func (f *Federation) Directory() (*federation.Directory, error) {
	signed, err := federation.SignDirectory(f.Data, f.Root.Sign)
	if err != nil {
		return nil, fmt.Errorf("federationtest: directory: %w", err)
	}
	d, err := federation.ReadDirectory(f.Root, f.Roots(), signed, nil)
	if err != nil {
		return nil, fmt.Errorf("federationtest: directory: %w", err)
	}
	return d, nil
}
