package raftlog

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A snapshot travels as a tar of the files of one Pebble checkpoint, without
// folders, in the order of their names. GNU format: always one header block for a file, so
// the length is known before the first byte, as raft asks.
const (
	tarBlock    = 512
	tarTrailer  = 2 * tarBlock
	tarNameMax  = 100     // fits the header block
	tarFilesMax = 1 << 20 // of one checkpoint
)

type tarFile struct {
	name string
	size int64
}

// tarFiles lists the files of a checkpoint and the length of their tar.
func tarFiles(fs vfs.FS, dir string) ([]tarFile, int64, error) {
	names, err := listDir(fs, dir)
	if err != nil {
		return nil, 0, err
	}
	files := make([]tarFile, 0, len(names))
	total := int64(tarTrailer)
	for _, name := range names {
		info, err := fs.Stat(fs.PathJoin(dir, name))
		if err != nil {
			return nil, 0, fmt.Errorf("look at %s in a checkpoint: %w", name, err)
		}
		if info.IsDir() || len(name) > tarNameMax {
			return nil, 0, fmt.Errorf("%w: checkpoint holds %q", ErrSnapshot, name)
		}
		files = append(files, tarFile{name: name, size: info.Size()})
		total += tarBlock + padded(info.Size())
	}
	return files, total, nil
}

func padded(size int64) int64 { return (size + tarBlock - 1) / tarBlock * tarBlock }

// tarStream reads a checkpoint as a tar, one file open at a time.
type tarStream struct {
	fs    vfs.FS
	dir   string
	files []tarFile
	part  io.Reader // what is being read: headers, a file, padding
	open  vfs.File
	left  int64 // bytes of the open file not yet read
	pad   int64 // bytes of padding behind the open file
	ended bool
}

func newTarStream(fs vfs.FS, dir string) (*tarStream, int64, error) {
	files, total, err := tarFiles(fs, dir)
	if err != nil {
		return nil, 0, err
	}
	return &tarStream{fs: fs, dir: dir, files: files}, total, nil
}

func (t *tarStream) Read(p []byte) (int, error) {
	for {
		if t.part != nil {
			n, err := t.part.Read(p)
			if n > 0 {
				return n, nil
			}
			if err != nil && !errors.Is(err, io.EOF) {
				return 0, err
			}
			t.part = nil
		}
		if t.open != nil && t.left > 0 {
			return t.readFile(p)
		}
		if err := t.next(); err != nil {
			return 0, err
		}
	}
}

func (t *tarStream) readFile(p []byte) (int, error) {
	if int64(len(p)) > t.left {
		p = p[:t.left]
	}
	n, err := t.open.Read(p)
	t.left -= int64(n)
	if n > 0 {
		return n, nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = fmt.Errorf("%w: a file of the checkpoint became shorter", ErrSnapshot)
	}
	return 0, err
}

// next goes from the end of one file to the header of the next.
func (t *tarStream) next() error {
	var head bytes.Buffer
	if t.open != nil {
		head.Write(make([]byte, t.pad))
		if err := t.Close(); err != nil {
			return err
		}
	}
	switch {
	case len(t.files) > 0:
		f := t.files[0]
		t.files = t.files[1:]
		file, err := t.fs.Open(t.fs.PathJoin(t.dir, f.name))
		if err != nil {
			return fmt.Errorf("open %s in a checkpoint: %w", f.name, err)
		}
		t.open, t.left, t.pad = file, f.size, padded(f.size)-f.size
		h := &tar.Header{Name: f.name, Size: f.size, Mode: 0o600, Typeflag: tar.TypeReg, Format: tar.FormatGNU}
		if err := tar.NewWriter(&head).WriteHeader(h); err != nil {
			return fmt.Errorf("tar header of %s: %w", f.name, err)
		}
	case !t.ended:
		t.ended = true
		head.Write(make([]byte, tarTrailer))
	default:
		return io.EOF
	}
	t.part = &head
	return nil
}

func (t *tarStream) Close() error {
	if t.open == nil {
		return nil
	}
	err := t.open.Close()
	t.open = nil
	return err
}

// untar writes the files of a tar into dir, which is new, and syncs all of them. It
// takes plain files with plain names only.
func untar(fs vfs.FS, dir string, r io.Reader) error {
	if err := makeDir(fs, dir); err != nil {
		return err
	}
	tr := tar.NewReader(r)
	for range tarFilesMax {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return syncDir(fs, dir)
		}
		if err != nil {
			return fmt.Errorf("%w: %w", ErrSnapshot, err)
		}
		if h.Typeflag != tar.TypeReg || !plainName(h.Name) {
			return fmt.Errorf("%w: tar holds %q", ErrSnapshot, h.Name)
		}
		if err := untarFile(fs, fs.PathJoin(dir, h.Name), tr, h.Size); err != nil {
			return err
		}
	}
	return fmt.Errorf("%w: more than %d files", ErrSnapshot, tarFilesMax)
}

func plainName(name string) bool {
	return name != "" && name != "." && name != ".." && len(name) <= tarNameMax && !strings.ContainsAny(name, "/\\\x00")
}

func untarFile(fs vfs.FS, path string, r io.Reader, size int64) error {
	f, err := fs.Create(path, writeCategory)
	if err != nil {
		return fmt.Errorf("create %s: %w", path, err)
	}
	n, err := io.Copy(writerOnly{f}, r)
	if err == nil && n != size {
		err = fmt.Errorf("%w: %d bytes of %d", ErrSnapshot, n, size)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("unpack %s: %w", path, err)
	}
	return nil
}

// writerOnly keeps io.Copy to the Write of the vfs.
type writerOnly struct{ io.Writer }
