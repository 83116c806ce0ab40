package command

import (
	"errors"
	"fmt"
	"os"

	"gongji/crypto/sm/emm"
	"gongji/gateway/internal/evidence"
)

const sealMax = 1 << 16 // bytes

type verifyArchive struct {
	believed

	Dir        string `arg:"" help:"Folder of archives: NNNNNNNN.archive and .seal."`
	Checkpoint string `placeholder:"FILE" help:"Seal that was kept elsewhere: the folder must reach it."`
}

// Run checks the folder. Without directories the digests are checked and no signature of a region. Errors: ErrRefused,
// ErrDoubtful, ErrUnjudged, ErrUsage, those of files.
func (a *verifyArchive) Run(p *Program) error {
	v := &evidence.ArchiveVerifier{Sealer: checker{emm.New()}}
	if len(a.Directory) > 0 {
		dirs, err := a.directories(v.Sealer)
		if err != nil {
			return err
		}
		v.Directories = dirs
	}
	root, err := os.OpenRoot(a.Dir)
	if err != nil {
		return err
	}
	r := &evidence.ArchiveReport{}
	wrong := a.checkpoint(v)
	if wrong == nil {
		r, wrong = v.Verify(root)
	}
	if wrong = errors.Join(wrong, root.Close()); wrong != nil {
		r = &evidence.ArchiveReport{}
	}
	verdict, result := verdictOf(wrong, len(r.Doubts))
	switch {
	case a.JSON:
		err = a.document(p, r, verdict, wrong)
	case wrong != nil:
		p.tellWrong(a.Dir, verdict, wrong)
	default:
		err = a.tell(p, r, v.Directories != nil)
	}
	return errors.Join(err, result)
}

func (a *verifyArchive) document(p *Program, r *evidence.ArchiveReport, verdict string, wrong error) error {
	d := map[string]any{}
	if wrong == nil {
		d = map[string]any{
			"region": r.Region, "first": r.First, "last": r.Last, "records": r.Records, "signatures": r.Signatures,
			"requests": r.Requests, "seals": r.Seals, "unsealed": r.Unsealed, "digest": r.Digest,
			"extra": append([]string{}, r.Extra...), "doubts": linesJSON(r.Doubts),
		}
	}
	return p.printJSON(d, a.Dir, verdict, wrong)
}

func (a *verifyArchive) tell(p *Program, r *evidence.ArchiveReport, signatures bool) error {
	what := fmt.Sprintf("digests, %d signatures and %d requests of platforms", r.Signatures, r.Requests)
	if !signatures {
		what = fmt.Sprintf("digests and %d requests of platforms, no signature of a region: give --directory and --root",
			r.Requests)
	}
	err := p.print("%s: ok: archives %d to %d of %s, %d records, %d seals; checked %s; newest %s\n", a.Dir, r.First,
		r.Last, r.Region, r.Records, r.Seals, what, r.Digest)
	if r.First > 1 {
		err = errors.Join(err, p.print("archives 1 to %d are not in the folder / 文件夹中没有第 1 至 %d 份档案\n", r.First-1, r.First-1))
	}
	if r.Unsealed {
		err = errors.Join(err, p.print("the newest is not sealed yet / 最新一份尚未封存\n"))
	}
	for _, name := range r.Extra {
		err = errors.Join(err, p.print("not a part of it / 不属于档案: %s\n", name))
	}
	for _, l := range r.Doubts {
		err = errors.Join(err, p.print("! %s\n! %s\n", l.ZH, l.EN))
	}
	return err
}

// checkpoint reads the seal that was kept elsewhere.
func (a *verifyArchive) checkpoint(v *evidence.ArchiveVerifier) error {
	if a.Checkpoint == "" {
		return nil
	}
	data, err := readWhole(a.Checkpoint, sealMax)
	if err != nil {
		return err
	}
	if v.Checkpoint, err = evidence.DecodeSeal(data); err != nil {
		return err
	}
	if v.Directories != nil {
		return evidence.CheckSeal(v.Sealer, v.Directories, v.Checkpoint)
	}
	return nil
}
