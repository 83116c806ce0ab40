package command

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"gongji/crypto"
	"gongji/crypto/hsm"
	"gongji/crypto/keyfile"
	"gongji/crypto/sm/emm"
)

// accessName is the file of PINs, in the ring's folder.
const accessName = "access"

type keysPIN struct {
	Dir  string `default:"keys" placeholder:"FOLDER" help:"The ring's folder."`
	Role string `enum:"user,officer" required:"" help:"user works with keys, officer destroys them."`
	File string `name:"pin-file" placeholder:"FILE" help:"File of the PIN; else it is asked for."`
}

// Run gives the role a PIN, and unlocks it. A module that runs takes it at its next start.
func (c *keysPIN) Run(p *Program) error {
	if err := (keyRing{Dir: c.Dir}).there(); err != nil {
		return err
	}
	pin, err := p.secret(c.File, "PIN", true)
	if err != nil {
		return err
	}
	defer clear(pin)
	access, err := hsm.OpenAccess(filepath.Join(c.Dir, accessName), emm.New(), time.Now)
	if err != nil {
		return err
	}
	role := hsm.RoleUser
	if c.Role == hsm.RoleOfficer.String() {
		role = hsm.RoleOfficer
	}
	if err = access.SetPIN(role, pin); errors.Is(err, hsm.ErrPIN) {
		return fmt.Errorf("%w: a PIN has %d to %d bytes; make it of randomness", ErrRefused, hsm.PINMin, hsm.PINMax)
	}
	if err != nil {
		return err
	}
	return p.print("%s has a PIN\n", c.Role)
}

type keysServe struct {
	keyRing

	Socket    string `required:"" placeholder:"PATH" help:"Unix socket to serve on."`
	UID       []int  `name:"uid" help:"Users whose processes may connect; default: the module's own only."`
	CoreDumps bool   `help:"Let the system write this process's memory to disk: for developers only."`
}

// Run serves until ctx ends.
func (c *keysServe) Run(ctx context.Context, p *Program) error {
	if !c.CoreDumps {
		if err := NoCoreDumps(); err != nil {
			return err
		}
	}
	suite := emm.New()
	if err := errors.Join(suite.SelfTest(), emm.CheckPlatform()); err != nil {
		return err
	}
	if err := c.there(); err != nil {
		return err
	}
	kek, err := c.sealing().open(p, "Passphrase", false)
	if err != nil {
		return err
	}
	order := crypto.Order{Who: "key module", Reason: "asked by a session"}
	ring, err := keyfile.Open(c.Dir, kek, suite, keyfile.WithOrder(order))
	if err != nil {
		return err
	}
	return errors.Join(c.serve(ctx, p, ring, suite), ring.Close())
}

func (c *keysServe) serve(ctx context.Context, p *Program, ring *keyfile.Ring, suite crypto.Suite) error {
	access, err := hsm.OpenAccess(filepath.Join(c.Dir, accessName), suite, time.Now)
	if err != nil {
		return err
	}
	if len(access.Roles()) == 0 {
		return fmt.Errorf("%w: nobody has a PIN: gateway keys pin --role user --dir %s", ErrRefused, c.Dir)
	}
	logger := slog.New(slog.NewJSONHandler(p.Stdout, nil))
	server, err := hsm.NewServer(hsm.Module{Keys: ring, Access: access, Now: time.Now, Logger: logger, UIDs: c.UID})
	if err != nil {
		return err
	}
	l, err := hsm.Listen(ctx, c.Socket)
	if err != nil {
		return err
	}
	if len(c.UID) > 0 {
		if err = hsm.Share(c.Socket); err != nil {
			return errors.Join(err, l.Close())
		}
	}
	logger.LogAttrs(ctx, slog.LevelInfo, "the key module serves", slog.String("socket", c.Socket))
	return server.Serve(ctx, l)
}
