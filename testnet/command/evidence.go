package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"gongji/gateway/client"
	gateway "gongji/gateway/command"
	"gongji/gateway/config"
	"gongji/testnet/story"
	"gongji/testnet/topology"
)

// sentencesShown are the lines of the proof that the story prints; the file has them all.
const sentencesShown = 6

// prove takes the bundle of the story's bill from its visit region, checks it as a court would, with the directory and
// the root's key alone, and prints the beginning of what it proves.
func prove(ctx context.Context, out io.Writer, session topology.Session, dir string, told *story.Told) error {
	for _, p := range told.Payments {
		if p.Status != client.PaymentCaptured {
			continue
		}
		parts := strings.Split(p.PaymentID, "-") // p-310000-…: an id carries its visit region
		visit := clients(session)[parts[min(1, len(parts)-1)]]
		if visit == nil {
			return fmt.Errorf("testnet: payment %s is of no region here", p.PaymentID)
		}
		bundle, err := visit.Evidence(ctx, p.PaymentID)
		if err != nil {
			return err
		}
		file := filepath.Join(dir, "evidence.json")
		if err = os.WriteFile(file, bundle, 0o600); err != nil {
			return err
		}
		return verify(ctx, out, session, topology.Layout{Dir: dir}, file)
	}
	return nil
}

func verify(ctx context.Context, out io.Writer, session topology.Session, l topology.Layout, file string) error {
	c, err := config.Load(l.Config(session.Regions[0].Nodes[0].ID))
	if err != nil {
		return err
	}
	args := []string{"evidence", "verify", file, "--directory", l.Directory()}
	for _, r := range c.Directory.Roots {
		args = append(args, "--root", r.ID+"="+r.Public)
	}
	var said, wrong bytes.Buffer
	program := gateway.Program{Stdout: &said, Stderr: &wrong}
	if err = program.Run(ctx, args); err != nil && !errors.Is(err, gateway.ErrDoubtful) {
		return fmt.Errorf("testnet: the evidence: %w: %s", err, wrong.String())
	}
	lines := strings.Split(strings.TrimSpace(said.String()), "\n")
	_, err = fmt.Fprintf(out, "\n── The proof of the hospital's bill, checked offline 离线验证\n%s\n", strings.Join(
		lines[:min(len(lines), 1+sentencesShown)], "\n"))
	if more := len(lines) - 1 - sentencesShown; err == nil && more > 0 {
		_, err = fmt.Fprintf(out, "… %d more lines: go run ./gateway %s\n", more, strings.Join(args, " "))
	}
	return err
}
