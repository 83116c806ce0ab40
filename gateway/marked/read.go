package marked

import (
	"context"
	"fmt"
	"net/http"

	"gongji/gateway/client"
)

// Read asks for everything that can be read about the cast.
func (s *Story) Read(ctx context.Context) error {
	for _, role := range []string{client.RolePayer, client.RoleBeneficiary} {
		who := s.Cast.Remote
		if role == client.RoleBeneficiary {
			who = s.Cast.Child
		}
		got, err := s.Home.Statement(ctx, client.StatementRequest{Person: who.API(), Role: role, From: day(), To: day()})
		if err != nil || len(got.Entries) == 0 {
			return fmt.Errorf("%w: statement of the %s: %d entries, %w", ErrOther, role, len(got.Entries), err)
		}
	}
	payer := s.Cast.Payer.API()
	list, err := s.Visit.SearchGrants(ctx, client.GrantSearch{Payer: &payer})
	if err != nil || len(list.Grants) == 0 {
		return fmt.Errorf("%w: %d grants, %w", ErrOther, len(list.Grants), err)
	}
	for what, ask := range map[string]func() error{
		"quotas": func() error {
			_, err := s.Visit.Quota(ctx, client.QuotaRequest{Person: payer})
			return err
		},
		"grant": func() error {
			_, err := s.Visit.Grant(ctx, s.first)
			return err
		},
		"payments": func() error {
			_, err := s.Visit.SearchPayments(ctx, client.PaymentSearch{VisitID: "visit-0"})
			return err
		},
		"refunds": func() error {
			_, err := s.Visit.Refunds(ctx, s.paid.PaymentID)
			return err
		},
		"trace": func() error {
			_, err := s.Visit.Trace(ctx, s.paid.PaymentID)
			return err
		},
		"evidence": func() error {
			_, err := s.Visit.Evidence(ctx, s.paid.PaymentID)
			return err
		},
	} {
		if err := ask(); err != nil {
			return fmt.Errorf("marked: %s: %w", what, err)
		}
	}
	return nil
}

// Misbehave sends what is refused, with persons in it: wrong forms, wrong places, and names where none belong.
func (s *Story) Misbehave(ctx context.Context) error {
	wrong := s.Bill("wrong")
	wrong.Beneficiary.Name = s.Cast.Stranger.Name
	if _, err := s.Visit.CreatePayment(ctx, wrong); err == nil {
		return fmt.Errorf("%w: another name was taken", ErrOther)
	}
	payer := s.Cast.Payer
	elsewhere := payer.API()
	elsewhere.Region = s.Cast.Child.Region
	if _, err := s.Home.SearchGrants(ctx, client.GrantSearch{Payer: &elsewhere}); err != nil {
		return fmt.Errorf("marked: a search elsewhere: %w", err)
	}
	bodies := []string{
		`{"` + payer.Name + `":1}`, `{"request_id":"` + payer.IDNumber + `","payer":"` + payer.Name + `"}`,
		`{"payer":{"id_type":"01","id_number":"` + payer.IDNumber, `"` + payer.Name + `"`,
		`{"request_id":"` + payer.Name + `"}`, `{"Name":"` + payer.IDNumber + `"}`, payer.IDNumber,
	}
	paths := []string{
		"/v1/grants", "/v1/payments", "/v1/quotes", "/v1/quotas", "/v1/statements", "/v1/grants/search",
		"/v1/payments/search", "/v1/" + payer.IDNumber, "/v1/grants/" + payer.IDNumber,
		"/v1/payments/p-310000-" + payer.IDNumber + "/confirm", "/v1/payments/" + payer.IDNumber + "/evidence",
		"/national/v1/" + payer.IDNumber, "/national/v1/createPayment?name=" + payer.IDNumber,
		"/v1/grants/search?wait=" + payer.IDNumber, "/" + payer.IDNumber,
	}
	for _, body := range bodies {
		for _, path := range paths {
			status, err := s.Raw(ctx, http.MethodPost, path, body)
			if err != nil || status < http.StatusBadRequest {
				return fmt.Errorf("%w: %s answers %d, %w", ErrOther, path, status, err)
			}
		}
	}
	return nil
}
