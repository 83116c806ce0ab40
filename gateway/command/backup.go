package command

import (
	"context"
	"fmt"

	"gongji/gateway/config"
)

// backup copies a node's state.
type backup struct {
	Config string `default:"gateway.yaml" placeholder:"FILE" help:"Configuration file of a node, which may be running."`
	Out    string `required:"" type:"path" placeholder:"DIR" help:"New folder for the copy."`
}

// Run copies it.
func (b *backup) Run(_ context.Context, p *Program) error {
	c, err := config.Load(b.Config)
	if err != nil {
		return err
	}
	told, err := p.Backup(c, b.Out)
	if err != nil {
		return fmt.Errorf("%w\nThe copy needs a snapshot (tuning.snapshot_entries) and a folder that does not exist", err)
	}
	return p.print("%s: %s\nThe keys are not in it: gateway keys backup.\n", b.Out, told)
}

// restore fills the folder of a node with a backup.
type restore struct {
	Config string `default:"gateway.yaml" placeholder:"FILE" help:"Configuration file of a node that does not run."`
	From   string `required:"" type:"existingdir" placeholder:"DIR" help:"What gateway backup has written."`
}

// Run fills it.
func (r *restore) Run(_ context.Context, p *Program) error {
	c, err := config.Load(r.Config)
	if err != nil {
		return err
	}
	told, err := p.Restore(c, r.From)
	if err != nil {
		return fmt.Errorf("%w\nA restore needs an empty data_dir, and the members and addresses of the backup", err)
	}
	return p.print("%s: %s\nRestore every node of the region from this same backup before the first one starts; then\n"+
		"begin every link anew: gateway links begin PEER (docs/operations.md, 6).\n", c.DataDir, told)
}
