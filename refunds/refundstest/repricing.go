package refundstest

import (
	"fmt"
	"time"

	"github.com/doisoat/doisoat/dossiers"
	"github.com/doisoat/doisoat/fees/quote"
	"github.com/doisoat/doisoat/fees/schedule"
	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/repricing"
	"github.com/doisoat/doisoat/repricing/replay"
)

// Policy records the text of one policy, or its next version.
func (w *World) Policy(id string, percent int) {
	w.T.Helper()
	p, err := schedule.ParsePolicy(fmt.Appendf(nil, `{
		"id": %q, "status": "in_force", "authority": {"code": "H41", "name": "HĐND tỉnh Nghệ An", "level": "province"},
		"territory": ["H41"], "legal_basis": {"number": "14/2023/NQ-HĐND", "kind": "nghi_quyet_hdnd"},
		"scope": {"mode": "fee_type_list", "fee_types": ["LP_DKKD"], "list_complete": true},
		"effect": {"kind": "share_of_base", "numerator": %d, "denominator": 100},
		"valid_from": "2024-01-01"}`, id, percent))
	w.Must(err)
	_, err = w.Fees.LoadPolicies(w.T.Context(), auth.Operator(Province), []schedule.Policy{p})
	w.Must(err)
}

// Business registers a dossier with a fee of 100 000 that the policy lowers.
func (w *World) Business() dossiers.Dossier {
	w.T.Helper()
	w.serial++
	base := int64(100_000)
	d, _, err := w.Dossiers.Register(w.T.Context(), Portal, dossiers.Registration{
		Authority: Province, Code: fmt.Sprintf("H41.12-240502-%d001", w.serial), Agency: "H41.12", Channel: "online",
		SubmittedAt: w.Clock.Now().Add(-time.Hour), Applicant: dossiers.Applicant{Name: "Người nộp"},
		Items: []quote.ItemRequest{{FeeType: "LP_DKKD", Base: &base}},
	})
	w.Must(err)
	return d
}

// ProposeRepricing proposes to price the dossiers of yesterday and today again, by the accountant.
func (w *World) ProposeRepricing(policy string) repricing.Repricing {
	w.T.Helper()
	day := calendar.On(w.Clock.Now())
	r, created, err := w.Repricing.Propose(w.T.Context(), Accountant, repricing.Request{
		Policy: policy, Period: replay.Period{From: day.AddDays(-1), To: day}, Reason: "sai tỷ lệ",
	})
	w.Must(err)
	if !created {
		w.T.Fatal("ProposeRepricing: got an earlier one, want a new one")
	}
	return r
}

// Reprice decides for a repricing and runs it as its job does.
func (w *World) Reprice(r repricing.Repricing) repricing.Repricing {
	w.T.Helper()
	_, err := w.Repricing.Approve(w.T.Context(), Chief, r.ID)
	w.Must(err)
	w.Must(w.Repricing.Reprice(w.T.Context(), Province, r.ID))
	r, err = w.Repricing.Find(w.T.Context(), Auditor, r.ID)
	w.Must(err)
	return r
}
