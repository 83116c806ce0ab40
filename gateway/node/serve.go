package node

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"

	"golang.org/x/sync/errgroup"
)

// serve opens the API and the operators' listener and serves both until ctx ends; then requests under way may end.
func (n *Node) serve(ctx context.Context) error {
	apiTLS, err := n.apiTLS()
	if err != nil {
		return err
	}
	var frontTLS *tls.Config
	if front := n.cfg.Front; n.cfg.Listen.APIFront != "" {
		if frontTLS, err = n.serverTLS(front.CertFile, front.KeyFile, front.ClientCAFile); err != nil {
			return err
		}
	}
	adminTLS, err := n.adminTLS()
	if err != nil {
		return err
	}
	admin := n.adminServer()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return n.listen(ctx, n.cfg.Listen.API, n.face.Server(), apiTLS) })
	if frontTLS != nil {
		g.Go(func() error {
			return n.listen(ctx, n.cfg.Listen.APIFront, n.face.FrontServer(n.cfg.Front.Pins), frontTLS)
		})
	}
	g.Go(func() error { return n.listen(ctx, n.cfg.Listen.Admin, admin, adminTLS) })
	return g.Wait()
}

func (n *Node) listen(ctx context.Context, addr string, s *http.Server, config *tls.Config) error {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return fmt.Errorf("node: listen: %w", err)
	}
	if config != nil {
		l = tls.NewListener(l, config)
	}
	g, work := errgroup.WithContext(ctx)
	g.Go(func() error {
		if served := s.Serve(l); !errors.Is(served, http.ErrServerClosed) {
			return fmt.Errorf("node: serve: %w", served)
		}
		return nil
	})
	g.Go(func() error {
		<-work.Done()
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), n.cfg.Timing.Shutdown)
		defer cancel()
		failed := s.Shutdown(ending)
		if errors.Is(failed, context.DeadlineExceeded) {
			return s.Close() // whoever still waits is told by the broken connection; a repeat finds out
		}
		return failed
	})
	return g.Wait()
}

func pool(path string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	p := x509.NewCertPool()
	if !p.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("node: %s has no certificate", path)
	}
	return p, nil
}

// peerTLS is TLS 1.3 with certificates of the cluster's own CA on both sides, first as the server has it, then as the
// client. Nil without files: only a simulation goes without.
func (n *Node) peerTLS() (*tls.Config, *tls.Config, error) {
	if n.cfg.TLS.CertFile == "" {
		return nil, nil, nil
	}
	cert, err := tls.LoadX509KeyPair(n.cfg.TLS.CertFile, n.cfg.TLS.KeyFile)
	if err != nil {
		return nil, nil, fmt.Errorf("node: tls: %w", err)
	}
	ca, err := pool(n.cfg.TLS.CAFile)
	if err != nil {
		return nil, nil, err
	}
	server := &tls.Config{
		Certificates: []tls.Certificate{cert}, ClientCAs: ca, ClientAuth: tls.RequireAndVerifyClientCert,
		MinVersion: tls.VersionTLS13,
	}
	return server, &tls.Config{Certificates: []tls.Certificate{cert}, RootCAs: ca, MinVersion: tls.VersionTLS13}, nil
}

func (n *Node) apiTLS() (*tls.Config, error) {
	if n.cfg.APITLS.CertFile == "" {
		return nil, nil //nolint:nilnil // plain HTTP: on loopback, or behind a terminator that the operator named
	}
	return n.serverTLS(n.cfg.APITLS.CertFile, n.cfg.APITLS.KeyFile, n.cfg.APITLS.ClientCAFile)
}

func (n *Node) adminTLS() (*tls.Config, error) {
	files := n.cfg.AdminTLS
	if files.CertFile == "" {
		return nil, nil //nolint:nilnil // plain HTTP: on loopback, or behind what the deployer named
	}
	return n.serverTLS(files.CertFile, files.KeyFile, files.ClientCAFile)
}
