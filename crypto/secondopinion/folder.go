package secondopinion

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"
)

// FolderMax bounds the files of a Folder; beyond it nothing more is kept until people have looked.
const FolderMax = 512

// ErrFolderFull: the folder has FolderMax files.
var ErrFolderFull = errors.New("secondopinion: folder is full")

// Folder is a Sink of one file for each disagreement, readable by the owner only: a message may
// hold persons.
type Folder struct {
	path  string
	limit int // FolderMax, or less in a test
}

var _ Sink = (*Folder)(nil)

// NewFolder makes the folder if it is not there. Errors: those of os.
func NewFolder(path string) (*Folder, error) {
	err := os.MkdirAll(path, 0o700)
	if err != nil {
		return nil, fmt.Errorf("secondopinion: %w", err)
	}
	return &Folder{path: path, limit: FolderMax}, nil
}

// record is the file: everything that a test of an engine needs.
type record struct {
	Time          time.Time `json:"time"`
	Peer          string    `json:"peer"`
	Public        string    `json:"public"`
	Digest        string    `json:"digest"`
	Message       string    `json:"message,omitempty"`
	Signature     string    `json:"signature"`
	Chosen        string    `json:"chosen"`
	Other         string    `json:"other"`
	ChosenAccepts bool      `json:"chosen_accepts"`
}

// Keep writes one file. Errors: ErrFolderFull, those of os.
func (f *Folder) Keep(found Disagreement) error {
	entries, err := os.ReadDir(f.path)
	if err != nil {
		return fmt.Errorf("secondopinion: %w", err)
	}
	if len(entries) >= f.limit {
		return ErrFolderFull
	}
	raw, err := json.MarshalIndent(record{
		Time:          found.Time.UTC(),
		Peer:          found.Peer,
		Public:        hex.EncodeToString(found.Public),
		Digest:        hex.EncodeToString(found.Digest[:]),
		Message:       hex.EncodeToString(found.Message),
		Signature:     hex.EncodeToString(found.Signature),
		Chosen:        found.Chosen,
		Other:         found.Other,
		ChosenAccepts: found.ChosenAccepts,
	}, "", " ")
	if err != nil {
		return fmt.Errorf("secondopinion: %w", err)
	}
	root, err := os.OpenRoot(f.path)
	if err != nil {
		return fmt.Errorf("secondopinion: %w", err)
	}
	name := found.Time.UTC().Format("20060102T150405.000000000") + "-" + hex.EncodeToString(found.Digest[:8]) + ".json"
	err = errors.Join(root.WriteFile(name, append(raw, '\n'), 0o600), root.Close())
	if err != nil {
		return fmt.Errorf("secondopinion: %w", err)
	}
	return nil
}
