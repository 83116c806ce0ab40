package books_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"gongji/testnet/books"
	"gongji/testnet/topology"
)

func region(t *testing.T, code, id string) topology.SessionRegion {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /admin/v1/books", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, `{"accounts":[{"region":%q,"id_number":%q,"opening":"1.00","balance":"0.50","held":"0.10"}]}`,
			code, id)
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return topology.SessionRegion{Code: code, Nodes: []topology.SessionNode{
		{ID: code + "-1", Admin: "http://127.0.0.1:1"}, {ID: code + "-2", Admin: s.URL},
	}}
}

func TestRead(t *testing.T) {
	session := topology.Session{Regions: []topology.SessionRegion{region(t, "110000", "a"), region(t, "310000", "b")}}
	b, err := books.Read(t.Context(), session)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := b.Write(&out); err != nil {
		t.Fatal(err)
	}
	want := `{"accounts":[{"region":"110000","id_number":"a","opening":"1.00","balance":"0.50","held":"0.10"},` +
		`{"region":"310000","id_number":"b","opening":"1.00","balance":"0.50","held":"0.10"}]}` + "\n"
	if out.String() != want {
		t.Errorf("wrote %s", &out)
	}
}

func TestReadTellsARegionThatIsDown(t *testing.T) {
	r := region(t, "110000", "a")
	r.Nodes = r.Nodes[:1]
	if _, err := books.Read(t.Context(), topology.Session{Regions: []topology.SessionRegion{r}}); err == nil {
		t.Error("no error")
	}
}
