package client_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"gongji/crypto/sm/emm"
	"gongji/gateway/client"
)

// A platform asks with its registered SM2 key. The server here stands for a node of the gateway.
func Example() {
	suite := emm.New()
	key, err := suite.Generate() // the key whose public half was registered: gateway platforms register
	if err != nil {
		fmt.Println(err)
		return
	}
	node := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sig, err := base64.StdEncoding.DecodeString(r.Header.Get("Gongji-Signature"))
		if err != nil || len(sig) == 0 || r.Header.Get("Gongji-Key") != "hospital-1" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_ = json.NewEncoder(w).Encode(client.Rules{AnnualShare: "0.60"})
	}))
	defer node.Close()

	c, err := client.New(client.Options{
		Nodes: []string{node.URL}, // all nodes of the region
		Sign: func(message []byte) (string, []byte, error) {
			sig, err := key.Sign(message)
			return "hospital-1", sig, err
		},
		Hash: func(data []byte) [32]byte { return suite.Sum(data) },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	rules, err := c.Rules(ctx)
	if p, ok := errors.AsType[*client.ProblemError](err); ok {
		fmt.Println("refused:", p.Problem.Code) // what to do stands in outcome and retryable
		return
	}
	fmt.Println("share of an account per year:", rules.AnnualShare)
	// Output: share of an account per year: 0.60
}
