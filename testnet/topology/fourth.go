package topology

import (
	"fmt"
	"os"
	"time"

	"gongji/crypto"
	"gongji/federation"
	"gongji/federation/root"
)

// Fourth is the code of a fourth member. It has keys and certificates like every region, made with the folder since the
// authority exists only then; but no nodes, no people, and no place in the first directory. Nobody hears of it until
// Admit: `testnet chaos --hostile` does that.
const Fourth = "440100"

// fourth makes the keys, and keeps what a directory is to say of the member.
func (m *making) fourth(a *certifier) error {
	keys, err := a.makeRegionKeys(m.layout.Region(Fourth), Fourth, m.now)
	if err != nil {
		return err
	}
	return writeJSON(m.layout.fourth(), federation.Member{
		Code: Fourth, Name: "广州", Aliases: []string{"Guangzhou"}, State: federation.MemberOpen, Protocol: protocol,
		Keys: keys,
	})
}

// Admit makes the directory that follows the present one: with the fourth member, and open with every region. It is
// signed by the office, and takes the place of the file. ErrOther: the folder is of a testnet that knew no fourth, or
// the member is in the directory already.
func Admit(l Layout, hash federation.Hash, now time.Time) (*federation.Directory, error) {
	var member federation.Member
	if err := readJSON(l.fourth(), &member); err != nil {
		return nil, fmt.Errorf("%w: it has no fourth member; start a new testnet (%w)", ErrOther, err)
	}
	return next(l, hash, now, func(data *federation.DirectoryData) error {
		for _, m := range data.Members {
			if m.Code == Fourth {
				return fmt.Errorf("%w: its fourth member has been here before; start a new testnet", ErrOther)
			}
		}
		if err := root.AddRegion(data, member); err != nil {
			return err
		}
		for _, r := range Regions() {
			pair := federation.Pair{A: federation.Region(r.Code), B: Fourth, From: pairsFrom}
			if err := root.OpenPair(data, pair); err != nil {
				return err
			}
		}
		return nil
	})
}

// Expel makes the directory that follows: every key of the fourth member is revoked.
func Expel(l Layout, hash federation.Hash, now time.Time) (*federation.Directory, error) {
	return next(l, hash, now, func(data *federation.DirectoryData) error { return root.Revoke(data, Fourth, "") })
}

// next makes and signs the directory that follows the present file, and puts it in its place.
func next(
	l Layout, hash federation.Hash, now time.Time, change func(*federation.DirectoryData) error,
) (*federation.Directory, error) {
	signed, err := os.ReadFile(l.Directory())
	if err != nil {
		return nil, fmt.Errorf("topology: %w", err)
	}
	d, err := federation.LoadDirectory(hash, signed)
	if err != nil {
		return nil, err
	}
	data := root.Next(d, now, time.Time{})
	if err = change(&data); err != nil {
		return nil, err
	}
	ring, err := RootRing(l)
	if err != nil {
		return nil, err
	}
	defer func() { _ = ring.Close() }() // nothing was written
	id, err := ring.Current(crypto.UseSign)
	if err != nil {
		return nil, err
	}
	signed, err = federation.SignDirectory(data, func(message []byte) (string, []byte, error) {
		signature, failed := ring.Sign(id, message)
		return id, signature, failed
	})
	if err != nil {
		return nil, err
	}
	if d, err = federation.LoadDirectory(hash, signed); err != nil {
		return nil, err
	}
	return d, writeFile(l.Directory(), signed)
}
