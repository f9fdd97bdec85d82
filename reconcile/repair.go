package reconcile

import (
	"context"
	"encoding/json"
	"log/slog"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/ident"
	"github.com/doisoat/doisoat/internal/money"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/payments"
	"github.com/doisoat/doisoat/providers"
	"github.com/doisoat/doisoat/reconcile/matching"
	"github.com/doisoat/doisoat/reconcile/openitems"
	"github.com/doisoat/doisoat/statements"
)

type repairKind struct{}

// Prefix implements ident.Kind.
func (repairKind) Prefix() string { return "rep" }

// Kinds of repair.
const (
	missedSuccess = "missed_success" // settlement row + the provider's answer to an inquiry
	lostNotice    = "lost_notice"    // bank line + our reference in its content, exact amount
)

// askAtOnce bounds how many providers' answers a run waits for at a time.
const askAtOnce = 4

// repair is one payment to be asked about because of one line.
type repair struct {
	line    statements.LineID
	payment payments.ID
	kind    string
	event   providers.Event // of a lost notice: the facts of the bank line
}

// reserveRepairs stores the repairs that will be asked, within the caps of the
// day. A request beyond the caps stays a break. A line that is asked about again
// on the same day counts against the caps only once.
func (s *Service) reserveRepairs(
	ctx context.Context, act postgres.Act, src statements.Source, run Run, open openitems.Open, wanted []matching.RepairRequest,
) ([]repair, error) {
	left, leftSum := s.RepairsPerDay, s.RepairSumPerDay
	if left == 0 {
		left = defaultRepairsPerDay
	}
	if leftSum == 0 {
		leftSum = defaultRepairSumPerDay
	}
	lines := make([]statements.LineID, len(wanted))
	for i, request := range wanted {
		lines[i] = statements.LineID(open.Lines[request.Line].ID)
	}
	var (
		used    int
		usedSum int64
		today   = calendar.On(act.Now)
	)
	err := act.QueryRow(ctx, `
		select count(*), coalesce(sum(amount), 0)::bigint from reconcile.repair
		where authority = (select app.authority()) and asked_on = $1 and line_id <> all($2::uuid[])`, today, lines).Scan(&used, &usedSum)
	if err != nil {
		return nil, err
	}
	left, leftSum = left-used, leftSum-usedSum
	var (
		list    []repair
		amounts []int64
	)
	for _, request := range wanted {
		l := open.Lines[request.Line]
		if left <= 0 || l.Amount > leftSum {
			slog.WarnContext(ctx, "repair left to people: the daily cap is reached", "source", src.Code, "line", statements.LineID(l.ID))
			continue
		}
		left, leftSum = left-1, leftSum-l.Amount
		r := repair{line: statements.LineID(l.ID), payment: payments.ID(request.Payment), kind: missedSuccess}
		if src.Kind == statements.BankSource {
			r.kind = lostNotice
			r.event = providers.Event{
				TransactionID: l.BankRef, BankReference: l.BankRef, Outcome: providers.Succeeded, Reason: "bank_statement",
				Amount: money.Amount{Currency: src.Currency, Minor: l.Amount}, OccurredAt: open.Occurred[l.ID], Account: src.Account,
			}
		}
		list, amounts = append(list, r), append(amounts, l.Amount)
	}
	_, err = act.Exec(ctx, `
		insert into reconcile.repair (id, authority, run_id, line_id, payment_id, kind, amount, currency, asked_at, asked_on, outcome)
		select n.id, @authority, @run, n.line, n.payment, n.kind, n.amount, @currency, @now, @today, 'asked'
		from unnest(@ids::uuid[], @lines::uuid[], @payments::uuid[], @kinds::text[], @amounts::bigint[]) as n (id, line, payment, kind, amount)
		on conflict on constraint repair_once do update
		set run_id = excluded.run_id, asked_at = excluded.asked_at, asked_on = excluded.asked_on, outcome = 'asked'`,
		pgx.StrictNamedArgs{
			"authority": run.Authority, "run": run.ID, "currency": run.Currency, "now": act.Now, "today": today, "amounts": amounts,
			"ids":      postgres.Column(list, func(*repair) ident.ID[repairKind] { return ident.New[repairKind]() }),
			"lines":    postgres.Column(list, func(r *repair) statements.LineID { return r.line }),
			"payments": postgres.Column(list, func(r *repair) payments.ID { return r.payment }),
			"kinds":    postgres.Column(list, func(r *repair) string { return r.kind }),
		})
	return list, err
}

// repair asks about each payment with no transaction open and stores each
// outcome. When a provider does not answer, the line stays a break, and the run
// goes on.
func (s *Service) repair(ctx context.Context, authority string, list []repair) {
	var group errgroup.Group
	group.SetLimit(askAtOnce)
	for _, r := range list {
		group.Go(func() error {
			outcome, evidence := s.ask(ctx, authority, r)
			if err := s.answered(ctx, authority, r, outcome, evidence); err != nil {
				slog.ErrorContext(ctx, "answer to a repair not kept", "line", r.line, "err", err)
			}
			return nil
		})
	}
	_ = group.Wait() // every fault is a break, and logged
}

func (s *Service) ask(ctx context.Context, authority string, r repair) (outcome string, evidence map[string]any) {
	var (
		p   payments.Payment
		err error
	)
	if r.kind == lostNotice {
		err = s.Payments.RecordFromStatement(ctx, auth.System(authority), r.payment, r.event)
		evidence = map[string]any{"bank_reference": r.event.BankReference}
		if err == nil {
			return "recorded", evidence
		}
	} else {
		p, err = s.Payments.Inquire(ctx, auth.System(authority), r.payment)
		evidence = map[string]any{"inquiry": p.Status, "reason": p.Reason, "captured": p.Captured}
		if err == nil && p.Captured > 0 {
			return "recorded", evidence
		}
	}
	if err != nil {
		slog.WarnContext(ctx, "repair not answered", "line", r.line, "payment", r.payment, "err", err)
		return "failed", evidence
	}
	return "not_confirmed", evidence
}

func (s *Service) answered(ctx context.Context, authority string, r repair, outcome string, evidence map[string]any) error {
	document, err := json.Marshal(evidence)
	if err != nil {
		return err
	}
	return postgres.InTx(ctx, s.DB, auth.System(authority), func(act postgres.Act) error {
		_, err := act.Exec(ctx, `
			update reconcile.repair set outcome = $2, evidence = $3, answered_at = $4 where line_id = $1`, r.line, outcome, document, act.Now)
		return err
	})
}
