package check

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"path/filepath"
	"strconv"
)

// How items are spread.
const (
	spoolParts  = 64
	spoolMemory = 100_000 // items of one spool that wait in memory before they go to its files
)

// spool gathers items by key: put in any order, then visited key by key. It keeps spoolMemory items in
// memory, and the rest in spoolParts files by the keys' hash; one file is read at a time.
type spool[T any] struct {
	dir     string
	parts   [spoolParts][]keyed[T]
	waiting int
	files   [spoolParts]bool // that have something
}

type keyed[T any] struct {
	Key  string `json:"k"`
	Item T      `json:"i"`
}

func newSpool[T any](temp string) (*spool[T], error) {
	dir, err := os.MkdirTemp(temp, "gongji-check-")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errBooks, err)
	}
	return &spool[T]{dir: dir}, nil
}

func (s *spool[T]) close() error { return os.RemoveAll(s.dir) }

func (s *spool[T]) put(key string, item T) error {
	h := fnv.New32a()
	if _, err := io.WriteString(h, key); err != nil {
		return fmt.Errorf("%w: %w", errBooks, err)
	}
	n := h.Sum32() % spoolParts
	s.parts[n] = append(s.parts[n], keyed[T]{key, item})
	s.waiting++
	if s.waiting < spoolMemory {
		return nil
	}
	return s.spill()
}

// spill moves what waits in memory to the files.
func (s *spool[T]) spill() error {
	for n, part := range s.parts {
		if len(part) == 0 {
			continue
		}
		if err := s.append(n, part); err != nil {
			return fmt.Errorf("%w: %w", errBooks, err)
		}
		s.parts[n] = part[:0]
		clear(part)
		s.files[n] = true
	}
	s.waiting = 0
	return nil
}

func (s *spool[T]) path(n int) string { return filepath.Join(s.dir, strconv.Itoa(n)) }

func (s *spool[T]) append(n int, part []keyed[T]) error {
	f, err := os.OpenFile(s.path(n), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	e := json.NewEncoder(w)
	for i := range part {
		if err = e.Encode(&part[i]); err != nil {
			break
		}
	}
	return errors.Join(err, w.Flush(), f.Close())
}

// groups visits every key with its items, in the order in which they were put.
func (s *spool[T]) groups(visit func(key string, items []T) error) error {
	for n := range s.parts {
		items, err := s.read(n)
		if err != nil {
			return fmt.Errorf("%w: %w", errBooks, err)
		}
		byKey := map[string][]T{}
		for _, k := range append(items, s.parts[n]...) {
			byKey[k.Key] = append(byKey[k.Key], k.Item)
		}
		for key, group := range byKey {
			if err := visit(key, group); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *spool[T]) read(n int) ([]keyed[T], error) {
	if !s.files[n] {
		return nil, nil
	}
	f, err := os.Open(s.path(n))
	if err != nil {
		return nil, err
	}
	var out []keyed[T]
	d := json.NewDecoder(bufio.NewReader(f))
	for {
		var k keyed[T]
		err = d.Decode(&k)
		if err != nil {
			break
		}
		out = append(out, k)
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return out, errors.Join(err, f.Close())
}
