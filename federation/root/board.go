package root

import (
	"context"
	"errors"
	"fmt"

	"gongji/federation"
)

// Post puts a directory on the board, and takes away the version that is then one too many.
func Post(ctx context.Context, b federation.Board, d *federation.Directory) error {
	if err := b.Post(ctx, federation.DirectoryKey(d.Version()), d.Signed()); err != nil {
		return fmt.Errorf("put version %d on the topic: %w", d.Version(), err)
	}
	if d.Version() <= federation.DirectoriesKept {
		return nil
	}
	old := d.Version() - federation.DirectoriesKept
	if err := b.Post(ctx, federation.DirectoryKey(old), nil); err != nil {
		return fmt.Errorf("version %d is on the topic; version %d could not be taken away: %w", d.Version(), old, err)
	}
	return nil
}

// quiet is how many empty answers in a row are the end of the topic.
const quiet = 2

// Newest reads the whole board and returns the newest directory that the root has signed, nil for none. Whatever else
// stands there is passed over.
func Newest(
	ctx context.Context, b federation.Board, s federation.Sealer, roots federation.Roots,
) (*federation.Directory, error) {
	var newest *federation.Directory
	for offset, empty := int64(0), 0; empty < quiet; {
		records, next, err := b.Posted(ctx, offset)
		switch {
		case errors.Is(err, federation.ErrRewound):
			offset = 0
			continue
		case err != nil:
			return nil, fmt.Errorf("read the topic: %w", err)
		}
		offset = next
		if empty++; len(records) > 0 {
			empty = 0
		}
		for _, r := range records {
			d, err := federation.ReadDirectory(s, roots, r.Value, nil)
			if err == nil && (newest == nil || d.Version() > newest.Version()) {
				newest = d
			}
		}
	}
	return newest, nil
}
