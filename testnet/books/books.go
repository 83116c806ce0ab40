// Package books tells what the core systems themselves say of the accounts, from their own stores.
package books

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"gongji/testnet/topology"
)

// Bounds of one region's answer.
const (
	answerMax  = 256 << 20
	answerWait = 60 * time.Second
)

// Account is one personal account, in yuan. Opening is the balance when the federation was made; Balance is not
// lowered by holds.
type Account struct {
	Region   string `json:"region"`
	IDNumber string `json:"id_number"`
	Opening  string `json:"opening"`
	Balance  string `json:"balance"`
	Held     string `json:"held"`
}

// Books are the accounts of all regions, oldest first within a region.
type Books struct {
	Accounts []Account `json:"accounts"`
}

// Read asks each region; the first node that answers will do.
func Read(ctx context.Context, session topology.Session) (Books, error) {
	all := Books{Accounts: []Account{}}
	for _, r := range session.Regions {
		b, err := region(ctx, r)
		if err != nil {
			return Books{}, fmt.Errorf("books: region %s: %w", r.Code, err)
		}
		all.Accounts = append(all.Accounts, b.Accounts...)
	}
	return all, nil
}

// Write writes them as one JSON document.
func (b Books) Write(w io.Writer) error { return json.NewEncoder(w).Encode(b) }

func region(ctx context.Context, r topology.SessionRegion) (Books, error) {
	var failed error
	for _, n := range r.Nodes {
		b, err := ask(ctx, n.Admin+"/admin/v1/books")
		if err == nil {
			return b, nil
		}
		failed = errors.Join(failed, err)
	}
	return Books{}, failed
}

func ask(ctx context.Context, url string) (Books, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return Books{}, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return Books{}, err
	}
	var b Books
	err = json.NewDecoder(io.LimitReader(answer.Body, answerMax)).Decode(&b)
	if answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answers %s", url, answer.Status)
	}
	return b, errors.Join(err, answer.Body.Close())
}
