package node

import (
	"gongji/crypto"
	"gongji/crypto/keyfile"
)

// openKeys opens the region's keys where the configuration says they are.
func (n *Node) openKeys(chosen crypto.Suite) error {
	n.keys = n.deps.Ring
	if n.keys != nil {
		return nil
	}
	kek, err := n.kek()
	if err != nil {
		return err
	}
	opened, err := keyfile.Open(n.cfg.Keys.Dir, kek, chosen)
	if err != nil {
		return err
	}
	n.keys = opened
	n.owned = append(n.owned, opened)
	return nil
}

func (n *Node) kek() (*keyfile.KEK, error) {
	if n.cfg.Keys.KEKFile != "" {
		return keyfile.ReadKEK(n.cfg.Keys.KEKFile)
	}
	passphrase, err := readSecret(n.cfg.Keys.PassphraseFile)
	if err != nil {
		return nil, err
	}
	return keyfile.PassphraseKEK(passphrase, keyfile.DefaultCost())
}
