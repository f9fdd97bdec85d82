package fees

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/fees/schedule"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/postgres"
)

// lockPolicies lets one writer of policies work at a time: whether two of them
// contradict each other is a question about all.
func lockPolicies(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, `select pg_advisory_xact_lock(hashtextextended('fees.record.' || @noun, 0))`,
		pgx.StrictNamedArgs{"noun": string(policyTexts)})
	if err != nil {
		return fmt.Errorf("lock policies: %w", err)
	}
	return nil
}

// policyFilter chooses among all policies as they stand; empty members do not restrict.
type policyFilter struct {
	id, owner, after string
	territories      []string
	startBy          calendar.Date
	limit            int
}

func findPolicies(ctx context.Context, tx pgx.Tx, f policyFilter) ([]RecordedPolicy, error) {
	rows, err := tx.Query(ctx, `
		select p.version, p.authority, p.status, p.ends_on, p.replaced_by, p.document, p.sha, p.recorded_at, p.recorded_by, p.submitted_by, p.acts
		from fees.policy_now p
		where (@id = '' or p.policy = @id)
			and (@owner = '' or p.authority = @owner)
			and p.policy > @after
			and (@territories::text[] is null or (p.territory && (array['*'] || @territories::text[]) and p.status <> 'rejected'))
			and (@start_by::date is null or p.valid_from is null or p.valid_from <= @start_by)
		order by p.policy
		limit @limit`,
		pgx.StrictNamedArgs{
			"id":          f.id,
			"owner":       f.owner,
			"after":       f.after,
			"territories": f.territories,
			"start_by":    f.startBy,
			"limit":       f.limit,
		},
	)
	if err != nil {
		return nil, fmt.Errorf("read policies: %w", err)
	}
	type row struct {
		Version     int
		Authority   string
		Status      schedule.Status
		EndsOn      calendar.Date
		ReplacedBy  string
		Document    []byte
		SHA         []byte
		RecordedAt  time.Time
		RecordedBy  string
		SubmittedBy string
		Acts        int
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByName[row])
	if err != nil {
		return nil, fmt.Errorf("read policies: %w", err)
	}
	list := make([]RecordedPolicy, len(found))
	for i, r := range found {
		p, err := schedule.DecodeRecorded(r.Document, r.Version)
		if err != nil {
			return nil, err
		}
		p.Status = r.Status
		if !r.EndsOn.IsZero() {
			p.EndOn(r.EndsOn)
		}
		list[i] = RecordedPolicy{
			Policy: p, SHA256: r.SHA, RecordedAt: r.RecordedAt, DraftedBy: r.RecordedBy, SubmittedBy: r.SubmittedBy,
			ReplacedBy: r.ReplacedBy, owner: r.Authority, acts: r.Acts,
		}
	}
	return list, nil
}

// findOnePolicy returns a policy as it stands, or ErrNotFound.
func findOnePolicy(ctx context.Context, tx pgx.Tx, id string) (RecordedPolicy, error) {
	list, err := findPolicies(ctx, tx, policyFilter{id: id, limit: 1})
	if err != nil {
		return RecordedPolicy{}, err
	}
	if len(list) == 0 {
		return RecordedPolicy{}, ErrNotFound
	}
	return list[0], nil
}

// actsOf returns the acts about all versions of a policy, oldest first.
func actsOf(ctx context.Context, tx pgx.Tx, id string) ([]PolicyAct, error) {
	rows, err := tx.Query(ctx, `
		select a.version, a.act, a.from_status, a.to_status, a.authority, a.actor, a.at, a.reason, a.legal_basis, a.ends_on,
			coalesce(a.replaced_by, '') as replaced_by
		from fees.policy_act a
		where a.policy = @id
		order by a.version, a.seq`, pgx.StrictNamedArgs{"id": id})
	if err != nil {
		return nil, fmt.Errorf("read acts of a policy: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[PolicyAct])
	if err != nil {
		return nil, fmt.Errorf("read acts of a policy: %w", err)
	}
	return list, nil
}

// insertActs writes one act about each policy. Rows follow one another per policy, so each policy may appear once.
func insertActs(ctx context.Context, act postgres.Act, list []step) error {
	var ids, acts, from, to, drafted, submitted, reasons, bases, replacedBy []string
	var versions, seqs []int32
	var ends []*string
	for _, s := range list {
		p := s.about
		ids = append(ids, p.Policy.ID)
		versions = append(versions, int32(p.Policy.Version)) //nolint:gosec // versions of one policy are few
		seqs = append(seqs, int32(p.acts+1))                 //nolint:gosec // acts of one policy are few
		acts, from, to = append(acts, string(s.act)), append(from, string(p.Policy.Status)), append(to, string(s.to))
		drafted, submitted = append(drafted, p.DraftedBy), append(submitted, p.SubmittedBy)
		reasons, bases = append(reasons, s.reason), append(bases, s.legalBasis)
		ends, replacedBy = append(ends, day(s.endsOn)), append(replacedBy, s.replacedBy)
	}
	_, err := act.Exec(ctx, `
		insert into fees.policy_act (policy, version, seq, authority, act, from_status, to_status, drafted_by, submitted_by, actor, at,
			reason, legal_basis, ends_on, replaced_by)
		select n.policy, n.version, n.seq, @authority, n.act, n.from_status, n.to_status, n.drafted_by, nullif(n.submitted_by, ''), @actor, @now,
			n.reason, n.legal_basis, n.ends_on::date, nullif(n.replaced_by, '')
		from unnest(@ids::text[], @versions::int[], @seqs::int[], @acts::text[], @from::text[], @to::text[], @drafted::text[], @submitted::text[],
			@reasons::text[], @bases::text[], @ends::text[], @replaced_by::text[])
			as n (policy, version, seq, act, from_status, to_status, drafted_by, submitted_by, reason, legal_basis, ends_on, replaced_by)`,
		pgx.StrictNamedArgs{
			"authority": act.Actor.Authority, "actor": act.Actor.ID, "now": act.Now, "ids": ids, "versions": versions, "seqs": seqs, "acts": acts,
			"from": from, "to": to, "drafted": drafted, "submitted": submitted, "reasons": reasons, "bases": bases, "ends": ends,
			"replaced_by": replacedBy,
		})
	if err != nil {
		return fmt.Errorf("record acts of policies: %w", err)
	}
	return nil
}
