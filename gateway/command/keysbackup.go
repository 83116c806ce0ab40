package command

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"gongji/crypto"
	"gongji/crypto/keyfile"
	"gongji/crypto/sm/emm"
)

// backupFlags name what a backup is wrapped with. It should not be what opens the ring: who finds both has the keys.
type backupFlags struct {
	BackupKEK        string `name:"backup-kek-file" placeholder:"FILE" help:"File of the backup's key-encryption key."`
	BackupPassphrase string `name:"backup-passphrase-file" placeholder:"FILE" help:"File of the backup's passphrase."`
}

func (f backupFlags) sealing() sealing {
	return sealing{kek: f.BackupKEK, passphrase: f.BackupPassphrase}
}

type keysBackup struct {
	keyRing
	backupFlags

	Out    string `required:"" placeholder:"FILE" help:"The backup; it must not be there yet."`
	Reason string `default:"backup" help:"Why, for the journal."`
}

// Run writes the backup, reads it back from the disk, and says what is in it.
func (c *keysBackup) Run(p *Program) error {
	if err := reasoned(c.Reason); err != nil {
		return err
	}
	kek, err := c.backupFlags.sealing().open(p, "Passphrase of the backup", true)
	if err != nil {
		return err
	}
	return c.with(p, c.Reason, func(r *keyfile.Ring) error {
		raw, err := r.Backup(kek)
		if err != nil {
			return err
		}
		if err = writeNew(c.Out, raw); err != nil {
			return err
		}
		contents, err := readBackup(c.Out, kek)
		if err != nil {
			return fmt.Errorf("command: %s was written and cannot be read back: %w", c.Out, err)
		}
		return p.print("%s: %d keys and %d destroyed ids, read back\n", c.Out, len(contents.Keys), len(contents.Destroyed))
	})
}

const privateMode os.FileMode = 0o600

// writeNew writes a file that was not there, durably.
func writeNew(path string, raw []byte) error {
	f, err := os.OpenFile(filepath.Clean(path), os.O_WRONLY|os.O_CREATE|os.O_EXCL, privateMode)
	if err != nil {
		return err
	}
	_, err = f.Write(raw)
	return errors.Join(err, f.Sync(), f.Close())
}

func readBackup(path string, kek *keyfile.KEK) (keyfile.Contents, error) {
	raw, err := readBackupFile(path)
	if err != nil {
		return keyfile.Contents{}, err
	}
	return keyfile.ReadBackup(emm.New(), kek, raw)
}

func readBackupFile(path string) ([]byte, error) {
	f, err := os.Open(filepath.Clean(path))
	if err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(io.LimitReader(f, int64(keyfile.BackupMax)+1))
	return raw, errors.Join(err, f.Close())
}

type keysRestore struct {
	keyRing
	backupFlags

	In     string `required:"" placeholder:"FILE" help:"The backup."`
	Reason string `default:"restore" help:"Why, for the journal."`
}

// Run adds what is missing. The folder may be new: then the ring is made, under a key-encryption key of its own.
func (c *keysRestore) Run(p *Program) error {
	if err := reasoned(c.Reason); err != nil {
		return err
	}
	raw, err := readBackupFile(c.In)
	if err != nil {
		return err
	}
	backupKEK, err := c.backupFlags.sealing().open(p, "Passphrase of the backup", false)
	if err != nil {
		return err
	}
	if _, err = keyfile.ReadBackup(emm.New(), backupKEK, raw); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrRefused, c.In, err) // before a folder is made
	}
	_, missing := os.Stat(c.Dir)
	kek, err := c.keyRing.sealing().open(p, "Passphrase of the ring", errors.Is(missing, os.ErrNotExist))
	if err != nil {
		return err
	}
	order := crypto.Order{Who: whoami(), Reason: c.Reason}
	ring, err := keyfile.Open(c.Dir, kek, emm.New(), keyfile.WithOrder(order))
	if err != nil {
		return err
	}
	done, err := ring.RestoreBackup(raw, backupKEK)
	return errors.Join(err, p.printRestored(done), ring.Close())
}

func (p *Program) printRestored(done keyfile.Restored) error {
	var err error
	for _, part := range []struct {
		said string
		ids  []string
	}{
		{"restored, and read back", done.Added},
		{"was there already", done.Known},
		{"was destroyed here, and stays so", done.Destroyed},
		{"IS HERE, AND THE BACKUP KNOWS THAT IT WAS DESTROYED: destroy it again", done.Alive},
	} {
		for _, id := range part.ids {
			err = errors.Join(err, p.print("%s: %s\n", id, part.said))
		}
	}
	return err
}

type keysRewrap struct {
	keyRing

	NewKEK        string `name:"new-kek-file" placeholder:"FILE" help:"File of the new key-encryption key."`
	NewPassphrase string `name:"new-passphrase-file" placeholder:"FILE" help:"File of the new passphrase."`
	Derivation    string `enum:"argon2id,pbkdf2-sm3" default:"argon2id" help:"How a passphrase becomes a key: ${enum}."`
	Reason        string `required:"" help:"Why, for the journal."`
}

// Run wraps every key anew. After a failure it is to be run again with the same two.
func (c *keysRewrap) Run(p *Program) error {
	if err := errors.Join(reasoned(c.Reason), c.there()); err != nil {
		return err
	}
	from, err := c.sealing().open(p, "Passphrase", false)
	if err != nil {
		return err
	}
	next := sealing{kek: c.NewKEK, passphrase: c.NewPassphrase, derivation: c.Derivation}
	to, err := next.open(p, "New passphrase", true)
	if err != nil {
		return err
	}
	order := crypto.Order{Who: whoami(), Reason: c.Reason}
	if err = keyfile.Rewrap(c.Dir, from, to, emm.New(), keyfile.WithOrder(order)); err != nil {
		return err
	}
	ring, err := keyfile.Open(c.Dir, to, emm.New())
	if err != nil {
		return err
	}
	n := len(ring.Infos())
	return errors.Join(p.print("%d keys are wrapped anew; start the programs that use them again\n", n), ring.Close())
}
