// Package report adds up the lines and the items of the book that a run
// accounts for: matched, by lane, and held by breaks, by kind. It reads the
// PostgreSQL schema reconcile and writes nothing; reconcile freezes the report
// when it closes the run.
//
// Invariant: a report never corrects a sum. When a side does not add up, the
// difference stays in the report and the run stays open.
package report

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/reconcile/matching"
)

// Total counts the lines and items of a lane, or those that a kind of break holds.
// Amount is the sum of the lines, on the side of the source. Book is the
// sum of the items, on the side of the book. Both are in minor units.
type Total struct {
	Lane   string             `json:"lane,omitempty"`
	Kind   matching.BreakKind `json:"kind,omitempty"`
	Lines  int                `json:"lines"`
	Amount int64              `json:"amount"`
	Items  int                `json:"items"`
	Book   int64              `json:"book"`
}

// Identity is the identity of money on one side of a run: total = matched + breaks.
type Identity struct {
	Total   int64 `json:"total"`
	Matched int64 `json:"matched"`
	Breaks  int64 `json:"breaks"`
}

// Difference returns the money that no match and no break explains; 0 when the identity holds.
func (i Identity) Difference() int64 { return i.Total - i.Matched - i.Breaks }

// Report holds the totals of a run. A line or item belongs to the first run that
// accounts for it, so that the reports of a day add up. When a later run matches
// the line or item, the match shows in the report of the first run as long as
// the first run is open.
type Report struct {
	Lanes       []Total  `json:"lanes"`       // matched, by lane
	Breaks      []Total  `json:"breaks"`      // held by breaks, by kind
	SourceSide  Identity `json:"source_side"` // booked lines
	BookSide    Identity `json:"book_side"`   // captures, refunds and, at a bank, money in transit and settlement rows of batches
	Lines       int      `json:"lines"`       // booked lines
	Items       int      `json:"items"`       // captures, refunds, money in transit, settlement rows
	Unexplained int      `json:"unexplained"` // lines and items that are neither matched nor held
}

// Holds reports whether both sides are explained to the last đồng and line.
func (r Report) Holds() bool {
	return r.SourceSide.Difference() == 0 && r.BookSide.Difference() == 0 && r.Unexplained == 0
}

// side is one group of lines or items with one fate: lane, or kind, or neither.
type side struct {
	Lane    string             `db:"lane"`
	Kind    matching.BreakKind `db:"kind"`
	Count   int                `db:"count"`
	Total   int64              `db:"total"`
	Matched int64              `db:"matched"`
}

const linesOfRun = `
	select coalesce(m.lane, '') as lane, coalesce(b.kind, '') as kind, count(*)::integer as count,
		sum(l.amount)::bigint as total, coalesce(sum(i.amount), 0)::bigint as matched
	from reconcile.statement_line l
	left join reconcile.match_item i on i.line_id = l.id and i.side = 'line' and i.live
	left join reconcile.match m on m.id = i.match_id
	left join reconcile.break b on b.line_id = l.id and b.holds and b.status <> 'resolved'
	where l.run_id = $1 and l.booked
	group by 1, 2 order by 1, 2`

const itemsOfRun = `
	select coalesce(mc.lane, mr.lane, mt.lane, '') as lane, coalesce(bc.kind, br.kind, bt.kind, '') as kind, count(*)::integer as count,
		sum(t.amount)::bigint as total, coalesce(sum(coalesce(ic.amount, ir.amount, it.amount)), 0)::bigint as matched
	from reconcile.book_item t
	left join reconcile.match_item ic on ic.capture_id = t.capture_id and ic.live
	left join reconcile.match_item ir on ir.refund_id = t.refund_id and ir.live
	left join reconcile.match_item it on it.transit_id = t.transit_id and it.live
	left join reconcile.match mc on mc.id = ic.match_id
	left join reconcile.match mr on mr.id = ir.match_id
	left join reconcile.match mt on mt.id = it.match_id
	left join reconcile.break bc on bc.capture_id = t.capture_id and bc.holds and bc.status <> 'resolved'
	left join reconcile.break br on br.refund_id = t.refund_id and br.holds and br.status <> 'resolved'
	left join reconcile.break bt on bt.transit_id = t.transit_id and bt.holds and bt.status <> 'resolved'
	where t.run_id = $1
	group by 1, 2 order by 1, 2`

const batchesOfRun = `
	select coalesce(m.lane, '') as lane, coalesce(b.kind, '') as kind, count(*)::integer as count,
		sum(l.net)::bigint as total, coalesce(sum(i.amount), 0)::bigint as matched
	from reconcile.statement_line l
	left join reconcile.match_item i on i.line_id = l.id and i.side = 'book' and i.live
	left join reconcile.match m on m.id = i.match_id
	left join reconcile.break b on b.batch_source_id = l.source_id and b.batch_account = l.account and b.batch_id = l.batch_id
		and b.holds and b.status <> 'resolved' and i.line_id is null -- it holds the rows of the batch that are not paid
	where l.payout_run_id = $1
	group by 1, 2 order by 1, 2`

// Of returns the report of a run, from the rows of its lines, items, matches
// and breaks as tx sees them. It locks nothing: the caller holds the turn of the
// authority when the report must stay true. A run without lines and items has
// an empty report, which holds.
func Of(ctx context.Context, tx pgx.Tx, run uuid.UUID) (Report, error) {
	r := Report{Lanes: []Total{}, Breaks: []Total{}}
	for i, query := range []string{linesOfRun, itemsOfRun, batchesOfRun} {
		rows, err := tx.Query(ctx, query, run)
		if err != nil {
			return Report{}, err
		}
		list, err := pgx.CollectRows(rows, pgx.RowToStructByName[side])
		if err != nil {
			return Report{}, err
		}
		for _, g := range list {
			r.add(g, i == 0)
		}
	}
	return r, nil
}

func (r *Report) add(g side, ofSource bool) {
	identity, n := &r.BookSide, &r.Items
	if ofSource {
		identity, n = &r.SourceSide, &r.Lines
	}
	*n += g.Count
	identity.Total += g.Total
	identity.Matched += g.Matched
	var t *Total
	switch {
	case g.Lane != "" && g.Kind != "": // matched and held at once: the sums will not add up, and say so
		r.Unexplained += g.Count
		identity.Breaks += g.Total
		return
	case g.Lane != "":
		t = totalIn(&r.Lanes, func(t Total) bool { return t.Lane == g.Lane }, Total{Lane: g.Lane})
	case g.Kind != "":
		identity.Breaks += g.Total
		t = totalIn(&r.Breaks, func(t Total) bool { return t.Kind == g.Kind }, Total{Kind: g.Kind})
	default:
		r.Unexplained += g.Count
		return
	}
	if ofSource {
		t.Lines, t.Amount = t.Lines+g.Count, t.Amount+g.Total
	} else {
		t.Items, t.Book = t.Items+g.Count, t.Book+g.Total
	}
}

// totalIn finds a total of a list, or adds an empty one.
func totalIn(list *[]Total, is func(Total) bool, empty Total) *Total {
	for i, t := range *list {
		if is(t) {
			return &(*list)[i]
		}
	}
	*list = append(*list, empty)
	return &(*list)[len(*list)-1]
}
