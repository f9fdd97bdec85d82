package refunds_test

import (
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/doisoat/doisoat/internal/approval"
	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/fault"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/refunds"
	"github.com/doisoat/doisoat/refunds/refundstest"
)

func TestRequestReservesAndRepeats(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d, p := w.Paid(phi, lePhi)
	whole := int64(150_000)
	q := refunds.Request{Reason: "COLLECTED_AGAINST_RULE", Note: "thu sai quy định", ExpectedRefundable: &whole, IdempotencyKey: "key-1"}
	r, created, err := w.Refunds.Request(t.Context(), accountant, d.Code, q)
	if err != nil || !created {
		t.Fatalf("Request: got created %t, %v", created, err)
	}
	want := refunds.Refund{
		ID: r.ID, Authority: province, DossierID: d.ID, DossierCode: d.Code, PaymentID: p.ID,
		CaptureID: p.Captures[0].ID, MerchantID: p.MerchantID,
		Provider: "vnpay", Reference: r.Reference, Reason: q.Reason, Origin: refunds.Manual, Route: refunds.ByProvider, Status: refunds.Requested,
		Amount: p.Amount,
		Items:  []refunds.Item{{Charge: charge(t, d, phi).ID, Amount: 100_000}, {Charge: charge(t, d, lePhi).ID, Amount: 50_000}},

		Note: q.Note, Deadline: calendar.MustParse("2024-05-09"), RequestedAt: begin, RequestedBy: accountant.ID, StatusAt: begin,
	}
	ours := cmpopts.IgnoreUnexported(refunds.Refund{})
	if diff := cmp.Diff(r, want, ours); diff != "" {
		t.Errorf("refund (-got +want):\n%s", diff)
	}
	again, created, err := w.Refunds.Request(t.Context(), accountant, d.Code, q)
	if err != nil || created {
		t.Errorf("the same again: got created %t, %v", created, err)
	}
	if diff := cmp.Diff(again, r, ours); diff != "" {
		t.Errorf("the same again (-got +want):\n%s", diff)
	}
	if diff := cmp.Diff(w.Refund(r.ID), r, ours); diff != "" {
		t.Errorf("Find (-got +want):\n%s", diff)
	}
	q.Note = "khác"
	if _, _, err := w.Refunds.Request(t.Context(), accountant, d.Code, q); !refunds.ErrKeyReused.Is(err) {
		t.Errorf("other body: got %v, want %v", err, refunds.ErrKeyReused)
	}
	w.Book(untouched) // asking moves nothing in the book
	if got := w.Payment(p.ID); got.Reserved != 150_000 || got.Captures[0].Reserved != 150_000 {
		t.Errorf("reserved: got %d of the payment and %d of the capture, want 150000", got.Reserved, got.Captures[0].Reserved)
	}

	other, _ := w.Paid(lePhi)
	q.Note = "thu sai quy định"
	q.ExpectedRefundable = nil
	if _, _, err := w.Refunds.Request(t.Context(), accountant, other.Code, q); !refunds.ErrKeyReused.Is(err) {
		t.Errorf("other dossier: got %v, want %v", err, refunds.ErrKeyReused)
	}
}

func TestRequestsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d, _ := w.Paid(phi, lePhi)
	unpaid := w.Dossier(phi)
	foreign, _ := w.Paid(phi)
	a, b, elsewhere := charge(t, d, phi).ID, refundstest.Charge(t, d, lePhi).ID, refundstest.Charge(t, foreign, phi).ID
	one := int64(1)
	for name, c := range map[string]struct {
		actor auth.Actor
		code  string
		q     refunds.Request
		want  *fault.Error
	}{
		"a role that may not":   {actor: auditor, want: auth.ErrForbidden},
		"a checker is no maker": {actor: chief, want: auth.ErrForbidden},
		"an invented reason":    {q: refunds.Request{Reason: "BECAUSE"}, want: refunds.ErrInvalid},
		"more than was paid":    {q: refunds.Request{Items: []refunds.Item{{a, 100_001}}}, want: refunds.ErrExceeds},
		"nothing":               {q: refunds.Request{Items: []refunds.Item{{a, 0}}}, want: refunds.ErrInvalid},
		"less than nothing":     {q: refunds.Request{Items: []refunds.Item{{a, 1}, {b, -1}}}, want: refunds.ErrInvalid},
		"one charge twice":      {q: refunds.Request{Items: []refunds.Item{{a, 1}, {a, 1}}}, want: refunds.ErrInvalid},
		"excess there is not":   {q: refunds.Request{Items: []refunds.Item{{Amount: 1}}}, want: refunds.ErrExceeds},
		"a foreign charge":      {q: refunds.Request{Items: []refunds.Item{{elsewhere, 1}}}, want: refunds.ErrExceeds},
		"a stale sum":           {q: refunds.Request{ExpectedRefundable: &one}, want: refunds.ErrChanged},
		"nothing was paid":      {code: unpaid.Code, want: refunds.ErrNothingLeft},
		"another province": {
			actor: auth.Actor{Authority: "H26", Role: auth.RoleAccountant, ID: "key_x"},
			want:  fault.New(fault.NotFound, "dossiers.not_found", ""),
		},
	} {
		if c.actor == (auth.Actor{}) {
			c.actor = accountant
		}
		if c.code == "" {
			c.code = d.Code
		}
		if c.q.Reason == "" {
			c.q.Reason = "COLLECTED_AGAINST_RULE"
		}
		if _, _, err := w.Refunds.Request(t.Context(), c.actor, c.code, c.q); !c.want.Is(err) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
	if got := append(w.RefundsOf(d), w.RefundsOf(unpaid)...); len(got) != 0 {
		t.Errorf("refunds: got %d, want none", len(got))
	}
}

func TestPartialRefundsNeverExceed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d, p := w.Paid(phi, lePhi)
	a := charge(t, d, phi).ID
	for range 3 {
		r := w.Approved(d, refunds.Item{Charge: a, Amount: 30_000})
		w.Send(r.ID)
	}
	ask := func(amount int64) error {
		_, _, err := w.Refunds.Request(t.Context(), accountant, d.Code, refunds.Request{Reason: "OVERPAID", Items: []refunds.Item{{a, amount}}})
		return err
	}
	if err := ask(10_001); !refunds.ErrExceeds.Is(err) {
		t.Errorf("10001 of the 10000 left: got %v, want %v", err, refunds.ErrExceeds)
	}
	w.Must(ask(10_000))
	if err := ask(1); !refunds.ErrExceeds.Is(err) {
		t.Errorf("1 of nothing left: got %v, want %v", err, refunds.ErrExceeds)
	}
	if got := w.Payment(p.ID).Reserved; got != 100_000 {
		t.Errorf("reserved: got %d, want 100000", got)
	}
	w.RequestsSeen(3)
}

func TestDecisions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d, p := w.Paid(phi, lePhi)
	r := w.Request(d)
	approve := func(actor auth.Actor) error {
		_, err := w.Refunds.Approve(t.Context(), actor, r.ID, "")
		return err
	}
	maker := auth.Actor{Authority: province, Role: auth.RoleChiefAccountant, ID: accountant.ID} // one key, two roles
	for name, c := range map[string]struct {
		err  error
		want *fault.Error
	}{
		"maker approves":   {approve(maker), approval.ErrSamePerson},
		"accountant":       {approve(accountant), auth.ErrForbidden},
		"auditor":          {approve(auditor), auth.ErrForbidden},
		"a job":            {approve(auth.System(province)), auth.ErrForbidden},
		"another province": {approve(auth.Actor{Authority: "H26", Role: auth.RoleChiefAccountant, ID: "key_x"}), refunds.ErrNotFound},
	} {
		if !c.want.Is(c.err) {
			t.Errorf("%s: got %v, want %v", name, c.err, c.want)
		}
	}
	if _, err := w.Refunds.Reject(t.Context(), maker, r.ID, "không"); !approval.ErrSamePerson.Is(err) {
		t.Errorf("maker rejects: got %v, want %v", err, approval.ErrSamePerson)
	}
	if _, err := w.Refunds.Reject(t.Context(), chief, r.ID, ""); !refunds.ErrInvalid.Is(err) {
		t.Errorf("no reason: got %v, want %v", err, refunds.ErrInvalid)
	}
	w.Status(r.ID, refunds.Requested)

	// A job that runs before the decision is there to see does nothing.
	w.Send(r.ID)
	w.Inquire(r.ID)
	w.Status(r.ID, refunds.Requested)
	w.RequestsSeen(0)

	for range 2 {
		got, err := w.Refunds.Reject(t.Context(), chief, r.ID, "chưa đủ căn cứ")
		if err != nil || got.Status != refunds.Rejected || got.DecidedBy != chief.ID || got.DecisionReason != "chưa đủ căn cứ" {
			t.Errorf("Reject: got %+v, %v", got, err)
		}
	}
	if err := approve(chief); !approval.ErrDecided.Is(err) {
		t.Errorf("approve what was rejected: got %v, want %v", err, approval.ErrDecided)
	}
	if got := w.Payment(p.ID).Reserved; got != 0 {
		t.Errorf("reserved after the rejection: got %d, want 0", got)
	}
	w.Book(untouched)

	second := w.Request(d)
	for range 2 {
		if got := w.Approve(second.ID); got.Status != refunds.Reserved || got.DecidedBy != chief.ID {
			t.Errorf("Approve: got %+v, want it reserved", got)
		}
	}
	if _, err := w.Refunds.Approve(t.Context(), otherChief, second.ID, ""); !approval.ErrDecided.Is(err) {
		t.Errorf("another checker: got %v, want %v", err, approval.ErrDecided)
	}
	if _, err := w.Refunds.Reject(t.Context(), chief, second.ID, "đổi ý"); !approval.ErrDecided.Is(err) {
		t.Errorf("reject what was approved: got %v, want %v", err, approval.ErrDecided)
	}
	w.Book(promised)
	if got := w.Queued("send_refund"); len(got) != 1 {
		t.Errorf("jobs: got %q, want one", got)
	}
}

// The tables refuse what the code would never do.
func TestTablesRefuse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d, _ := w.Paid(phi, lePhi)
	r := w.Request(d)
	for name, c := range map[string]struct{ sql, want string }{
		"the maker decides": {`update refunds.refund set decided_by = requested_by where id = $1`, "refund_maker_is_not_checker"},
		"nobody decides":    {`update refunds.refund set status = 'reserved' where id = $1`, "refund_decided"},
		"an unknown status": {`update refunds.refund set status = 'failed', decided_by = 'x' where id = $1`, "refund_status"},
		"a line twice": {
			`insert into refunds.item select refund_id, 9, authority, charge_id, 1 from refunds.item where refund_id = $1 limit 1`,
			"item_charge_once",
		},
		"changing an item": {`update refunds.item set amount = 1 where refund_id = $1`, "append_only"},
		"removing an item": {`delete from refunds.item where refund_id = $1`, "append_only"},
		"reserving too much": {
			`update payments.payment set refund_reserved = refund_reserved + 1
			where id = (select payment_id from refunds.refund where id = $1)`, "payment_refund_cap",
		},
	} {
		_, err := w.DB.Owner.Exec(t.Context(), c.sql, r.ID)
		if got := postgres.Constraint(err); got != c.want {
			t.Errorf("%s: got %v, want a breach of %s", name, err, c.want)
		}
	}
	for _, sql := range []string{
		`update refunds.refund set amount = 1`, `update refunds.refund set reference = 'DS2222222222'`,
		`update refunds.refund set requested_by = 'x'`, `delete from refunds.refund`,
		`delete from refunds.item`, `update refunds.item set amount = 1`,
	} {
		if _, err := w.DB.App.Exec(t.Context(), sql); err == nil {
			t.Errorf("%s: got no error, want no right to do it", sql)
		}
	}
}

func TestTenAtOnceNeverExceed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d, p := w.Paid(phi, lePhi)
	a := charge(t, d, phi).ID
	ids := make([]refunds.ID, 10)
	got := refundstest.AtOnce(t, 10, func(i int) error {
		r, _, err := w.Refunds.Request(t.Context(), accountant, d.Code, refunds.Request{Reason: "OVERPAID", Items: []refunds.Item{{a, 30_000}}})
		ids[i] = r.ID
		return err
	}, refunds.ErrExceeds)
	if got != 3 {
		t.Errorf("requests: got %d of 30000 each out of 100000, want 3", got)
	}
	ids = slices.DeleteFunc(ids, func(id refunds.ID) bool { return id.IsZero() })
	if got := refundstest.AtOnce(t, 10, func(i int) error {
		_, err := w.Refunds.Approve(t.Context(), chief, ids[i%len(ids)], "")
		return err
	}); got != 10 {
		t.Errorf("approvals: got %d, want 10: the same again changes nothing", got)
	}
	w.Book(bookAfter(map[string]int64{"L-TAMTHU-PHI": -90_000, "L-REFUND": 90_000}))
	if got := len(w.Queued("send_refund")); got != 3 {
		t.Errorf("jobs: got %d, want 3", got)
	}
	refundstest.AtOnce(t, 10, func(i int) error { return w.Routes.Send(t.Context(), province, ids[i%len(ids)]) })
	w.RequestsSeen(3)
	var held, captured int64
	w.Must(w.DB.Owner.QueryRow(t.Context(), `
		select (select sum(amount) from refunds.refund where payment_id = $1 and status <> 'rejected'),
			(select sum(amount) from payments.capture where payment_id = $1)`, p.ID).Scan(&held, &captured))
	if held > captured || held != 90_000 {
		t.Errorf("refunds hold %d of %d, want 90000", held, captured)
	}
}

func TestOneKeyAtOnceGivesOneRefund(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d, _ := w.Paid(phi, lePhi)
	var fresh [10]bool
	got := refundstest.AtOnce(t, 10, func(i int) (err error) {
		_, fresh[i], err = w.Refunds.Request(t.Context(), accountant, d.Code, refunds.Request{Reason: "OVERPAID", IdempotencyKey: "k"})
		return err
	})
	made := 0
	for _, f := range fresh {
		if f {
			made++
		}
	}
	if got != 10 || made != 1 {
		t.Errorf("got %d answers and %d refunds, want 10 and 1", got, made)
	}
}

func TestListPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d, _ := w.Paid(phi, lePhi)
	var want []refunds.ID
	for range 3 {
		want = append(want, w.Request(d, refunds.Item{Charge: charge(t, d, phi).ID, Amount: 1_000}).ID)
	}
	slices.Reverse(want)
	var got []refunds.ID
	for f := (refunds.Filter{DossierCode: d.Code, Status: refunds.Requested, Limit: 2}); ; {
		list, next, err := w.Refunds.List(t.Context(), auditor, f)
		w.Must(err)
		for _, r := range list {
			got = append(got, r.ID)
		}
		if f.After = next; next.IsZero() {
			break
		}
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("List (-got +want):\n%s", diff)
	}
	if list, _, err := w.Refunds.List(t.Context(), auth.System("H26"), refunds.Filter{}); err != nil || len(list) != 0 {
		t.Errorf("another province: got %d refunds, %v, want none", len(list), err)
	}
}

// Each reading of this clock is half an hour later, and the second one is the
// next day in Viet Nam: decision and entry must come from one reading.
func TestDecisionAndEntryCarryOneDate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d, _ := w.Paid(phi, lePhi)
	r := w.Request(d)
	beforeMidnight := time.Date(2024, 5, 2, 16, 40, 0, 0, time.UTC) // 23:40 in Viet Nam
	var readings atomic.Int64
	w.Refunds.DB.Now = func() time.Time { return beforeMidnight.Add(time.Duration(readings.Add(1)-1) * 30 * time.Minute) }
	if _, err := w.Refunds.Approve(t.Context(), chief, r.ID, ""); err != nil {
		t.Fatal(err)
	}
	if got := readings.Load(); got != 1 {
		t.Errorf("the clock was read %d times in one transaction, want once", got)
	}
	var decided, recorded, business string
	err := w.DB.Owner.QueryRow(t.Context(), `
		select (r.decided_at at time zone 'Asia/Ho_Chi_Minh')::date::text,
			(e.recorded_at at time zone 'Asia/Ho_Chi_Minh')::date::text, e.business_date::text
		from refunds.refund r, ledger.entry e
		where r.id = $1 and e.cause_id = $2 and e.cause_event = 'approved'`, r.ID, r.ID.String()).Scan(&decided, &recorded, &business)
	if err != nil {
		t.Fatal(err)
	}
	if got := [3]string{decided, recorded, business}; got != [3]string{"2024-05-02", "2024-05-02", "2024-05-02"} {
		t.Errorf("decision, record and business date: got %v, want one date", got)
	}
}
