package fees

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/fees/quote"
	"github.com/doisoat/doisoat/fees/schedule"
	"github.com/doisoat/doisoat/internal/audit"
	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/auth/registry"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/fault"
	"github.com/doisoat/doisoat/internal/page"
	"github.com/doisoat/doisoat/internal/postgres"
)

// Service records and finds fee types and policies.
type Service struct {
	DB postgres.DB
}

// Recorded counts the documents of a load: new ones, ones that became the next
// version, and ones that were recorded already with the same content.
type Recorded struct {
	New       int `json:"new"`
	Changed   int `json:"changed"`
	Unchanged int `json:"unchanged"`
}

// LoadFeeTypes records fee types of the actor's authority, all or none. Same
// content again changes nothing, other content becomes the next version; each
// recorded version leaves an audit event. A province's fee types must have its
// own territory, national ones come from an authority above the provinces.
// Needs auth.PermFeesWrite. Faults: ErrFeeType, ErrOwner.
func (s Service) LoadFeeTypes(ctx context.Context, actor auth.Actor, types []schedule.FeeType) (Recorded, error) {
	if err := auth.Require(actor, auth.PermFeesWrite); err != nil {
		return Recorded{}, err
	}
	docs := make([]document, len(types))
	var p fault.Problems
	for i, f := range types {
		f.ValidateAt(&p, fault.Element("", i))
		text, err := json.Marshal(f)
		if err != nil {
			return Recorded{}, fmt.Errorf("write fee type %s: %w", f.Code, err)
		}
		docs[i] = document{id: f.Code, kind: f.Kind, territory: []string{f.Territory}, text: text}
	}
	if err := p.As(schedule.ErrFeeType); err != nil {
		return Recorded{}, err
	}
	return s.load(ctx, actor, feeTypes, docs)
}

// LoadPolicies records policies that the actor's authority adopted, all or
// none, as LoadFeeTypes does. A policy must name the actor's authority and its
// level; a province's territory is itself and those merged into it. One that
// two people act about stays theirs. Needs auth.PermFeesWrite. Faults:
// ErrPolicy, ErrOwner, ErrStatus.
func (s Service) LoadPolicies(ctx context.Context, actor auth.Actor, policies []schedule.Policy) (Recorded, error) {
	if err := auth.Require(actor, auth.PermFeesWrite); err != nil {
		return Recorded{}, err
	}
	docs := make([]document, len(policies))
	var p fault.Problems
	for i, policy := range policies {
		at := fault.Element("", i)
		policy.ValidateAt(&p, at)
		p.Require(policy.Document != nil, at, "has no document: policies come from ParsePolicy or ParseFile")
		if policy.Authority.Code != actor.Authority {
			return Recorded{}, ErrOwner.With("policy %s was adopted by %s, not by %s", policy.ID, policy.Authority.Code, actor.Authority).
				At(at+"/authority/code", "is not the authority that records it")
		}
		docs[i] = documentOf(policy)
	}
	if err := p.As(schedule.ErrPolicy); err != nil {
		return Recorded{}, err
	}
	return s.load(ctx, actor, policyTexts, docs)
}

// document is one fee type or policy on its way into the store.
type document struct {
	id        string
	kind      schedule.Kind   // fee type
	level     schedule.Level  // policy
	status    schedule.Status // policy
	territory []string
	basis     string
	from, to  calendar.Date
	text      []byte
	sha       []byte
	version   int
}

func documentOf(p schedule.Policy) document {
	return document{
		id: p.ID, level: p.Authority.Level, status: p.Status, territory: p.Territory, text: p.Document,
		basis: p.LegalBasis.String(), from: p.ValidFrom, to: p.ValidTo,
	}
}

func (s Service) load(ctx context.Context, actor auth.Actor, n noun, docs []document) (Recorded, error) {
	for i := range docs {
		var err error
		if docs[i].sha, err = fingerprint(docs[i].text); err != nil {
			return Recorded{}, err
		}
	}
	slices.SortFunc(docs, func(a, b document) int { return strings.Compare(a.id, b.id) })
	for i := 1; i < len(docs); i++ {
		if docs[i].id == docs[i-1].id {
			return Recorded{}, schedule.ErrDocument.With("%s appears twice", docs[i].id)
		}
	}
	var done Recorded
	err := postgres.InTx(ctx, s.DB, actor, func(act postgres.Act) error {
		done = Recorded{}
		if err := checkOwner(ctx, act, actor.Authority, docs); err != nil {
			return err
		}
		before, err := n.lockVersions(ctx, act, actor.Authority, docs)
		if err != nil {
			return err
		}
		fresh, events := []document{}, []audit.Event{}
		for _, d := range docs {
			old, known := before[d.id]
			switch {
			case known && old.Authority != actor.Authority:
				return ErrOwner.With("%s belongs to %s", d.id, old.Authority)
			case known && bytes.Equal(old.SHA, d.sha):
				done.Unchanged++
				continue
			case known:
				done.Changed++
			default:
				done.New++
			}
			d.version = old.Version + 1
			fresh = append(fresh, d)
			events = append(events, n.event(act, d, old))
		}
		if err := n.insert(ctx, act, fresh); err != nil {
			return err
		}
		return audit.RecordAll(ctx, act, events)
	})
	if postgres.Constraint(err) == "policy_version_follows" {
		return Recorded{}, ErrStatus.With("a policy that was submitted, adopted or repealed by two people is not recorded anew").
			Because(err)
	}
	return done, err
}

func (n noun) event(act postgres.Act, d document, old recordedVersion) audit.Event {
	e := audit.Event{
		Actor: act.Actor, At: act.Now, Act: string(n) + ".record", ObjectKind: string(n), ObjectID: d.id,
		After: map[string]any{"version": d.version, "sha256": fmt.Sprintf("%x", d.sha)},
	}
	if old.Version > 0 {
		e.Before = map[string]any{"version": old.Version, "sha256": fmt.Sprintf("%x", old.SHA)}
	}
	return e
}

// checkOwner refuses documents that reach beyond the authority that records
// them: a discount of one province must never lower another's revenue.
func checkOwner(ctx context.Context, tx pgx.Tx, owner string, docs []document) error {
	found, err := registry.FindAuthority(ctx, tx, owner)
	if err != nil {
		return err
	}
	national := schedule.Level(found.Level) != schedule.LevelProvince
	var merged []string
	if !national {
		if merged, err = mergedInto(ctx, tx, owner); err != nil {
			return err
		}
	}
	for _, d := range docs {
		if d.level != "" && d.level != schedule.Level(found.Level) {
			return ErrOwner.With("%s says level %s, but %s is of level %s", d.id, d.level, owner, found.Level)
		}
		if d.kind != "" && (national != (d.territory[0] == schedule.Everywhere)) {
			return ErrOwner.With(
				"%s: a province records fee types of its own territory, a national authority those of %q", d.id, schedule.Everywhere,
			)
		}
		for _, code := range d.territory {
			if !national && code != owner && (d.kind != "" || !slices.Contains(merged, code)) {
				return ErrOwner.With("%s names the territory %s, which is not of %s", d.id, code, owner)
			}
		}
	}
	return nil
}

// fingerprint is the SHA-256 of a document's content: members sorted, no space
// between them, so that layout does not make a new version.
func fingerprint(text []byte) ([]byte, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var value any
	if err := d.Decode(&value); err != nil {
		return nil, schedule.ErrDocument.Because(err)
	}
	canonical, err := json.Marshal(value)
	if err != nil {
		return nil, schedule.ErrDocument.Because(err)
	}
	sum := sha256.Sum256(canonical)
	return sum[:], nil
}

// RecordedPolicy is a policy as it stands: its newest version, with the status
// and the end that the acts about it gave it.
type RecordedPolicy struct {
	Policy      schedule.Policy
	SHA256      []byte
	RecordedAt  time.Time
	DraftedBy   string // who recorded this version
	SubmittedBy string // empty: it was not submitted
	ReplacedBy  string // the policy that superseded it
	History     []PolicyAct

	owner string
	acts  int
}

// FindPolicy returns the latest version of a policy of any authority, with its
// history: norms are public. Needs auth.PermFeesRead. Fault: ErrNotFound.
func (s Service) FindPolicy(ctx context.Context, actor auth.Actor, id string) (RecordedPolicy, error) {
	if err := auth.Require(actor, auth.PermFeesRead); err != nil {
		return RecordedPolicy{}, err
	}
	var found RecordedPolicy
	err := postgres.ReadTx(ctx, s.DB.Pool, actor.Authority, func(tx pgx.Tx) (err error) {
		found, err = withHistory(ctx, tx, id)
		return err
	})
	return found, err
}

func withHistory(ctx context.Context, tx pgx.Tx, id string) (RecordedPolicy, error) {
	found, err := findOnePolicy(ctx, tx, id)
	if err != nil {
		return RecordedPolicy{}, err
	}
	found.History, err = actsOf(ctx, tx, id)
	return found, err
}

// ListPolicies returns the latest version of each policy in order of id, after
// the given id; owner empty means of all authorities. next is the last id of the
// page when another page follows. Needs auth.PermFeesRead.
func (s Service) ListPolicies(
	ctx context.Context, actor auth.Actor, owner, after string, limit int,
) (list []RecordedPolicy, next string, err error) {
	if err := auth.Require(actor, auth.PermFeesRead); err != nil {
		return nil, "", err
	}
	limit = page.Limit(limit)
	err = postgres.ReadTx(ctx, s.DB.Pool, actor.Authority, func(tx pgx.Tx) error {
		list, err = findPolicies(ctx, tx, policyFilter{owner: owner, after: after, limit: limit + 1})
		return err
	})
	list, next = page.Cut(list, limit, func(p RecordedPolicy) string { return p.Policy.ID })
	return list, next, err
}

// ListFeeTypes returns the fee types in force for a territory, its own and the
// national ones it does not hide, by code. Needs auth.PermFeesRead.
func (s Service) ListFeeTypes(ctx context.Context, actor auth.Actor, territory string) ([]schedule.FeeType, error) {
	if err := auth.Require(actor, auth.PermFeesRead); err != nil {
		return nil, err
	}
	var list []schedule.FeeType
	err := postgres.ReadTx(ctx, s.DB.Pool, actor.Authority, func(tx pgx.Tx) (err error) {
		list, err = feeTypesOf(ctx, tx, territory)
		return err
	})
	return list, err
}

// Schedule returns the schedule of a territory on a pricing date with two
// queries: the latest version of every fee type and of every policy there. It
// includes past and future policies, so that a quote can say why they do not
// apply, but none that starts more than a year after the date.
func (Service) Schedule(ctx context.Context, tx pgx.Tx, territory string, on calendar.Date) (quote.Schedule, error) {
	types, err := feeTypesOf(ctx, tx, territory)
	if err != nil {
		return quote.Schedule{}, err
	}
	policies, err := findPolicies(
		ctx, tx, policyFilter{territories: []string{territory}, startBy: on.AddDays(366), limit: schedule.MaxPolicies},
	)
	if err != nil {
		return quote.Schedule{}, err
	}
	s := quote.Schedule{FeeTypes: types, Policies: make([]schedule.Policy, len(policies))}
	for i, p := range policies {
		s.Policies[i] = p.Policy
	}
	return s, nil
}

// Quote prices a request by the schedule recorded for its authority and keeps
// nothing. Needs auth.PermQuote. Faults: those of Price and auth.ErrSubmittedAt.
func (s Service) Quote(ctx context.Context, actor auth.Actor, r quote.Request) (quote.Quote, error) {
	if err := auth.Require(actor, auth.PermQuote); err != nil {
		return quote.Quote{}, err
	}
	var norms quote.Schedule
	err := postgres.ReadTx(ctx, s.DB.Pool, actor.Authority, func(tx pgx.Tx) (err error) {
		if err := r.Validate(); err != nil {
			return err
		}
		if err := registry.CheckSubmitted(ctx, tx, r.Authority, r.SubmittedAt, s.DB.Now()); err != nil {
			return err
		}
		norms, err = s.Schedule(ctx, tx, r.Authority, calendar.On(r.SubmittedAt))
		return err
	})
	if err != nil {
		return quote.Quote{}, err
	}
	return quote.Price(r, norms)
}
