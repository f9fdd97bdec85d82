package cases_test

import (
	"sync"
	"testing"
	"time"

	"github.com/doisoat/doisoat/cases"
	"github.com/doisoat/doisoat/dossiers"
	"github.com/doisoat/doisoat/internal/approval"
	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/fault"
	"github.com/doisoat/doisoat/internal/money"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/payments"
	"github.com/doisoat/doisoat/reconcile"
	"github.com/doisoat/doisoat/refunds"
	"github.com/doisoat/doisoat/statements"
)

// place is where a line of a statement is found.
type place struct {
	statement statements.ID
	line      statements.LineID
}

// arrives brings a statement of one bank line and runs its day.
func (w *world) arrives(date calendar.Date, opening int64, e entry) (place, reconcile.Run) {
	w.T.Helper()
	st := w.Ingest(bank, camt(date, opening, opening+e.amount, e))
	run := w.Run(bank, date)
	lines, _, err := w.Files.ListLines(w.T.Context(), accountant, st.ID, statements.LineID{}, 10)
	w.Must(err)
	return place{st.ID, lines[0].ID}, run
}

func pays(code string, amount int64) cases.IdentifyRequest {
	return cases.IdentifyRequest{DossierCode: code, Amount: money.Dong(amount), Reason: "phiếu chuyển tiền của người nộp"}
}

func (w *world) proposed(at place, q cases.IdentifyRequest) cases.Identification {
	w.T.Helper()
	n, created, err := w.Cases.ProposeIdentification(w.T.Context(), accountant, at.statement, at.line, q)
	w.Must(err)
	same(w.T, "created", created, true)
	return n
}

func (w *world) codeOf(p payments.Payment) string {
	w.T.Helper()
	found, err := w.Find(w.T.Context(), accountant, p.ID)
	w.Must(err)
	return found.DossierCode
}

// A suspended credit pays the dossier that two persons name, whatever its
// payer was asked for; what the dossier does not owe goes back from the
// agency's account; and nothing happens twice.
func TestCreditIsIdentified(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	asked := w.Payment("vnpay", 60_000)
	code, other := w.codeOf(asked), w.codeOf(w.Payment("vnpay", 75_000))
	at, run := w.arrives(day, 0, entry{"F1", 75_000, "NGUYEN VAN A nop le phi"})
	same(t, "suspended", w.Balances(), map[string]int64{"A-BANK-" + bank: 75_000, "L-SUSPENSE": 75_000})

	n := w.proposed(at, pays(code, 75_000))
	again, created, err := w.Cases.ProposeIdentification(t.Context(), accountant, at.statement, at.line, pays(code, 75_000))
	w.Must(err)
	same(t, "proposed again", again, n)
	same(t, "created again", created, false)
	_, _, err = w.Cases.ProposeIdentification(t.Context(), accountant, at.statement, at.line, pays(other, 75_000))
	if !cases.ErrIdentified.Is(err) {
		t.Errorf("for another dossier: got %v, want %v", err, cases.ErrIdentified)
	}
	maker := chief
	maker.ID = accountant.ID
	if _, err := w.Cases.ApproveIdentification(t.Context(), maker, n.ID, ""); !approval.ErrSamePerson.Is(err) {
		t.Errorf("approved by its maker: got %v, want %v", err, approval.ErrSamePerson)
	}
	same(t, "nothing moved", w.Balances(), map[string]int64{"A-BANK-" + bank: 75_000, "L-SUSPENSE": 75_000})

	paid := map[string]int64{"A-BANK-" + bank: 75_000, "L-TAMTHU-PHI": 60_000, "L-REFUND": 15_000}
	for range 2 {
		n, err = w.Cases.ApproveIdentification(t.Context(), chief, n.ID, "đúng")
		w.Must(err)
		same(t, "status", n.Status, cases.IdentificationApproved)
		same(t, "book", w.Balances(), paid)
		same(t, "breaks", w.Breaks(bank), []string{})
		same(t, "matches", w.Matches(run), []string{"identified identified 75000"})
		run = w.Run(bank, day) // it leaves the line alone
	}
	d, err := w.Dossiers.Find(t.Context(), accountant, code)
	w.Must(err)
	same(t, "outstanding", d.Totals().Outstanding, 0)
	same(t, "receipts", len(d.Receipts), 1)
	same(t, "what was asked for", w.Status(asked), payments.Cancelled)
	w.refusedAfter(at, n, code)
	w.Close(run)

	w.Must(w.Refunds.ProposeExcess(t.Context(), province, n.Capture))
	list, _, err := w.Refunds.List(t.Context(), accountant, refunds.Filter{DossierCode: code})
	w.Must(err)
	r, err := w.Refunds.Approve(t.Context(), chief, list[0].ID, "nộp thừa")
	w.Must(err)
	type sent struct {
		Reason string
		Stage  refunds.Stage
		Route  refunds.Route
		Amount int64
	}
	same(t, "refund", sent{r.Reason, r.Stage, r.Route, r.Amount.Minor}, sent{"OVERPAID", refunds.AtAgency, refunds.PaymentOrder, 15_000})
}

// refusedAfter tries what an approved identification forbids, by the program and by the database.
func (w *world) refusedAfter(at place, n cases.Identification, code string) {
	w.T.Helper()
	again, created, err := w.Cases.ProposeIdentification(w.T.Context(), accountant, at.statement, at.line, pays(code, 75_000))
	w.Must(err)
	same(w.T, "proposed after", []any{again.ID, again.Status, created}, []any{n.ID, n.Status, false})
	if _, err := w.Cases.RejectIdentification(w.T.Context(), chief, n.ID, "nhầm"); !approval.ErrDecided.Is(err) {
		w.T.Errorf("rejected after: got %v, want %v", err, approval.ErrDecided)
	}
	list, _, err := w.Cases.ListMatches(w.T.Context(), accountant, cases.MatchFilter{})
	w.Must(err)
	if _, err := w.Cases.RevokeMatch(w.T.Context(), accountant, list[0].ID, "nhầm"); !cases.ErrIdentified.Is(err) {
		w.T.Errorf("revoked after: got %v, want %v", err, cases.ErrIdentified)
	}
	for constraint, damage := range map[string]string{
		"identification_once": `insert into reconcile.identification (id, authority, line_id, dossier_id, amount, currency, reason, proposed_at,
			proposed_by)
			select gen_random_uuid(), authority, line_id, dossier_id, amount, currency, reason, now(), 'x' from reconcile.identification`,
		"identification_decided_once": `update reconcile.identification set status = 'rejected', capture_id = null, note = 'x'`,
		"capture_identified_once": `insert into payments.capture (id, authority, payment_id, dossier_id, provider, transaction_id, amount,
			currency,
				excess, occurred_at, business_date, evidence, recorded_at)
			select gen_random_uuid(), authority, payment_id, dossier_id, provider, transaction_id, amount, currency, excess, now(), business_date,
				evidence, now() from payments.capture where evidence = 'identified'`,
		"capture_without_merchant": `update payments.capture set evidence = 'callback'`,
	} {
		if _, err := w.Owner.Exec(w.T.Context(), damage); postgres.Constraint(err) != constraint {
			w.T.Errorf("%s: got %v", constraint, err)
		}
	}
	_, err = w.Owner.Exec(w.T.Context(), `
		insert into reconcile.identification (id, authority, line_id, dossier_id, amount, currency, reason, status, proposed_at,
			proposed_by, decided_at, decided_by, note)
		select gen_random_uuid(), authority, line_id, dossier_id, amount, currency, reason, 'rejected',
			now(), 'x', now(), 'x', 'x' from reconcile.identification`)
	if postgres.Constraint(err) != "identification_maker_is_not_checker" {
		w.T.Errorf("one person: got %v", err)
	}
}

// Several checkers, runs and payers at once: the line pays once.
func TestIdentifiedAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.Payment("vietqr", 80_000)
	at, _ := w.arrives(day, 0, entry{"F1", 80_000, "NGUYEN VAN A"})
	n := w.proposed(at, pays(w.codeOf(p), 80_000))
	second := chief
	second.ID = "key_chief_2"
	var group sync.WaitGroup
	for i := range 6 {
		group.Go(func() {
			var err error
			switch i % 3 {
			case 0:
				_, err = w.Cases.ApproveIdentification(t.Context(), chief, n.ID, "")
			case 1:
				_, err = w.Cases.ApproveIdentification(t.Context(), second, n.ID, "")
			default:
				_, _, err = w.Reconcile.StartRun(t.Context(), accountant, bank, day)
			}
			if err != nil && !approval.ErrDecided.Is(err) {
				t.Errorf("at once: got %v, want none or %v", err, approval.ErrDecided)
			}
		})
	}
	w.Pay(p, "deliver") // and the payer pays what he was asked for
	group.Wait()
	same(t, "identified", w.Count(`select count(*) from payments.capture where evidence = 'identified'`), 1)
	same(t, "book", w.Balances(), map[string]int64{
		"A-BANK-" + bank: 80_000, "A-CLR-vietqr": 80_000, "L-TAMTHU-PHI": 80_000, "L-REFUND": 80_000,
	})
}

// What is no suspended credit of the authority, or not what the maker says, is refused.
func TestIdentifyRefusals(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	done := w.Payment("vietqr", 40_000)
	short := w.Payment("vietqr", 90_000)
	w.Pay(done, "deliver")
	w.Pay(short, "deliver")
	code := w.codeOf(short)
	st := w.Ingest(bank, camt(day, 0, 140_000,
		entry{"F1", 30_000, "NGUYEN VAN A"}, entry{"F2", -15_000, "phi"},
		entry{"F3", 40_000, done.Reference}, entry{"F4", 85_000, short.Reference}))
	w.Run(bank, day)
	lines, _, err := w.Files.ListLines(t.Context(), accountant, st.ID, statements.LineID{}, 10)
	w.Must(err)
	otherFile := w.Ingest(settlement, settled("DSAAAAAAAAAA", "5555", 10_000, "B-1"))
	w.Run(settlement, day)
	rows, _, err := w.Files.ListLines(t.Context(), accountant, otherFile.ID, statements.LineID{}, 10)
	w.Must(err)
	stranger := auth.Actor{Authority: "H56", Role: auth.RoleAccountant, ID: "key_stranger"}
	dollars := pays(code, 30_000)
	dollars.Amount.Currency = "USD"
	silent := pays(code, 30_000)
	silent.Reason = ""
	for name, x := range map[string]struct {
		actor     auth.Actor
		statement statements.ID
		line      statements.LineID
		q         cases.IdentifyRequest
		want      *fault.Error
	}{
		"another amount":     {accountant, st.ID, lines[0].ID, pays(code, 29_999), cases.ErrInvalid},
		"another currency":   {accountant, st.ID, lines[0].ID, dollars, cases.ErrInvalid},
		"no reason":          {accountant, st.ID, lines[0].ID, silent, cases.ErrInvalid},
		"no such dossier":    {accountant, st.ID, lines[0].ID, pays("H41.12-240502-9999", 30_000), dossiers.ErrNotFound},
		"a debit":            {accountant, st.ID, lines[1].ID, pays(code, 15_000), cases.ErrNotSuspended},
		"matched":            {accountant, st.ID, lines[2].ID, pays(code, 40_000), cases.ErrNotSuspended},
		"compared":           {accountant, st.ID, lines[3].ID, pays(code, 85_000), cases.ErrNotSuspended},
		"a settlement row":   {accountant, otherFile.ID, rows[0].ID, pays(code, 10_000), cases.ErrNotSuspended},
		"another statement":  {accountant, otherFile.ID, lines[0].ID, pays(code, 30_000), cases.ErrLineNotFound},
		"another authority":  {stranger, st.ID, lines[0].ID, pays(code, 30_000), cases.ErrLineNotFound},
		"a portal":           {portal, st.ID, lines[0].ID, pays(code, 30_000), auth.ErrForbidden},
		"a chief accountant": {chief, st.ID, lines[0].ID, pays(code, 30_000), auth.ErrForbidden},
	} {
		if _, _, err := w.Cases.ProposeIdentification(t.Context(), x.actor, x.statement, x.line, x.q); !x.want.Is(err) {
			t.Errorf("%s: got %v, want %v", name, err, x.want)
		}
	}
	n := w.proposed(place{st.ID, lines[0].ID}, pays(code, 30_000))
	stranger.Role = auth.RoleChiefAccountant
	if _, err := w.Cases.ApproveIdentification(t.Context(), stranger, n.ID, ""); !cases.ErrIdentificationNotFound.Is(err) {
		t.Errorf("approved elsewhere: got %v, want %v", err, cases.ErrIdentificationNotFound)
	}
	if _, err := w.Cases.ApproveIdentification(t.Context(), accountant, n.ID, ""); !auth.ErrForbidden.Is(err) {
		t.Errorf("approved by an accountant: got %v, want %v", err, auth.ErrForbidden)
	}
	if _, err := w.Cases.RejectIdentification(t.Context(), chief, n.ID, ""); !cases.ErrInvalid.Is(err) {
		t.Errorf("rejected without a reason: got %v, want %v", err, cases.ErrInvalid)
	}
	for range 2 {
		_, err = w.Cases.RejectIdentification(t.Context(), chief, n.ID, "không đúng hồ sơ")
		w.Must(err)
	}
	w.proposed(place{st.ID, lines[0].ID}, pays(code, 30_000)) // rejected, it is open for another try
	list, _, err := w.Cases.ListIdentifications(t.Context(), accountant, cases.IdentificationFilter{Status: cases.IdentificationRejected})
	w.Must(err)
	same(t, "rejected", len(list), 1)
}

// A line that was matched by mistake is suspended when the match is revoked,
// and can be identified then: from that day on.
func TestIdentifiedAfterRevoke(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Transferred(80_000)
	code := w.codeOf(w.Payment("vnpay", 100_000))
	list, _, err := w.Cases.ListMatches(t.Context(), accountant, cases.MatchFilter{})
	w.Must(err)
	w.Clock.Advance(24 * time.Hour)
	_, err = w.Cases.RevokeMatch(t.Context(), accountant, list[0].ID, "nhầm hồ sơ")
	w.Must(err)
	found, _, err := w.Files.List(t.Context(), accountant, bank, statements.ID{}, 1)
	w.Must(err)
	n := w.proposed(place{found[0].ID, list[0].Lines[0]}, pays(code, 80_000))
	_, err = w.Cases.ApproveIdentification(t.Context(), chief, n.ID, "")
	w.Must(err)
	same(t, "book", w.Balances(), map[string]int64{"A-BANK-" + bank: 80_000, "A-CLR-vietqr": 80_000, "L-TAMTHU-PHI": 160_000})
	same(t, "breaks", w.Breaks(bank), []string{"missing_at_source 80000"})
	same(t, "since it was suspended", w.dayOf(n), day.AddDays(1))
	w.Close(w.Run(bank, day.AddDays(1)))
}

// dayOf is the business date of the entry of an approved identification.
func (w *world) dayOf(n cases.Identification) (date calendar.Date) {
	w.T.Helper()
	w.Must(w.Owner.QueryRow(w.T.Context(), `
		select e.business_date from ledger.entry e join reconcile.identification n on e.cause_id = 'cap_' || replace(n.capture_id::text, '-', '')
		where n.id = $1`, n.ID).Scan(&date))
	return date
}

// A closed day takes no entry: the credit leaves suspense on the next open one.
// A closed run stays as it was.
func TestIdentifiedAfterTheDayIsClosed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	code := w.codeOf(w.Payment("vnpay", 50_000))
	at, run := w.arrives(day, 0, entry{"F1", 50_000, "NGUYEN VAN A"})
	closed := w.Close(run)
	w.Close(w.Run(settlement, day))
	w.Clock.Advance(24 * time.Hour)
	w.Must(w.Reconcile.CloseDay(t.Context(), chief, day))
	n := w.proposed(at, pays(code, 50_000))
	_, err := w.Cases.ApproveIdentification(t.Context(), chief, n.ID, "")
	w.Must(err)
	same(t, "on the next open day", w.dayOf(n), day.AddDays(1))
	same(t, "book", w.Balances(), map[string]int64{"A-BANK-" + bank: 50_000, "L-TAMTHU-PHI": 50_000})
	found, err := w.Reconcile.FindRun(t.Context(), accountant, closed.ID)
	w.Must(err)
	same(t, "the closed report", found.Report, closed.Report)
	same(t, "breaks", w.Breaks(bank), []string{})
}

// What a run finds out before the checker does is not decided a second time.
func TestMatchedBeforeItIsIdentified(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.Payment("vnpay", 100_000)
	w.Pay(p, "deliver")
	at, _ := w.arrives(day, 0, entry{"F1", 100_000, "VNPAY THANH TOAN DOT VNP20240502-01"})
	n := w.proposed(at, pays(w.codeOf(w.Payment("vnpay", 100_000)), 100_000))
	w.Ingest(settlement, settled(p.Reference, w.Transaction(p), 100_000, "VNP20240502-01"))
	w.Run(settlement, day)
	run := w.Run(bank, day)
	same(t, "matches", w.Matches(run), []string{"payout batch_id 100000"})
	if _, err := w.Cases.ApproveIdentification(t.Context(), chief, n.ID, ""); !cases.ErrNotSuspended.Is(err) {
		t.Errorf("approved: got %v, want %v", err, cases.ErrNotSuspended)
	}
	_, err := w.Cases.RejectIdentification(t.Context(), chief, n.ID, "đã khớp với quyết toán")
	w.Must(err)
	same(t, "book", w.Balances(), map[string]int64{"A-BANK-" + bank: 100_000, "L-TAMTHU-PHI": 100_000})
}

// A line that a repair asks about would count twice: once for the payment that
// it names, once for the dossier that people name.
func TestNotIdentifiedDuringARepair(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Reconcile.RepairsPerDay = -1
	p := w.Payment("vietqr", 80_000)
	w.Pay(p, "lose")
	at, run := w.arrives(day, 0, entry{"F1", 80_000, p.Reference})
	same(t, "breaks", w.Breaks(bank), []string{"missing_in_book 80000"})
	n := w.proposed(at, pays(w.codeOf(p), 80_000))
	for _, outcome := range []string{"asked", "recorded"} {
		_, err := w.Owner.Exec(t.Context(), `
			insert into reconcile.repair (id, authority, run_id, line_id, payment_id, kind, amount, currency, asked_at, asked_on, outcome)
			values (gen_random_uuid(), $1, $2, $3, $4, 'lost_notice', 80000, 'VND', now(), now(), $5)
			on conflict (line_id) do update set outcome = excluded.outcome`, province, run.ID, at.line, p.ID, outcome)
		w.Must(err)
		if _, err := w.Cases.ApproveIdentification(t.Context(), chief, n.ID, ""); !cases.ErrNotSuspended.Is(err) {
			t.Errorf("repair %s: got %v, want %v", outcome, err, cases.ErrNotSuspended)
		}
	}
	_, err := w.Owner.Exec(t.Context(), `update reconcile.repair set outcome = 'failed'`)
	w.Must(err)
	_, err = w.Cases.ApproveIdentification(t.Context(), chief, n.ID, "")
	w.Must(err)
	same(t, "what it names", w.Status(p), payments.Cancelled)
}

// A death before the commit leaves nothing behind, and the next try does all of it.
func TestIdentificationDiesHalfway(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	code := w.codeOf(w.Payment("vnpay", 50_000))
	at, _ := w.arrives(day, 0, entry{"F1", 50_000, "NGUYEN VAN A"})
	n := w.proposed(at, pays(code, 50_000))
	_, err := w.Owner.Exec(t.Context(), `alter table reconcile.identification add constraint dies check (status <> 'approved')`)
	w.Must(err)
	if _, err := w.Cases.ApproveIdentification(t.Context(), chief, n.ID, ""); err == nil {
		t.Errorf("approve: got %v, want a death", err)
	}
	same(t, "book", w.Balances(), map[string]int64{"A-BANK-" + bank: 50_000, "L-SUSPENSE": 50_000})
	same(t, "captures", w.Count(`select count(*) from payments.capture`), 0)
	_, err = w.Owner.Exec(t.Context(), `alter table reconcile.identification drop constraint dies`)
	w.Must(err)
	_, err = w.Cases.ApproveIdentification(t.Context(), chief, n.ID, "")
	w.Must(err)
	same(t, "book after", w.Balances(), map[string]int64{"A-BANK-" + bank: 50_000, "L-TAMTHU-PHI": 50_000})
}
