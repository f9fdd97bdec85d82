package fees

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/fees/quote"
	"github.com/doisoat/doisoat/fees/schedule"
	"github.com/doisoat/doisoat/internal/auth/registry"
	"github.com/doisoat/doisoat/internal/fault"
	"github.com/doisoat/doisoat/internal/postgres"
)

// examine asks whether a policy could be adopted as things stand, and returns
// the acts that its adoption would mean for the policies it replaces.
func (s Service) examine(ctx context.Context, act postgres.Act, p schedule.Policy) ([]step, error) {
	p.Status = schedule.Approved
	if err := p.Validate(); err != nil {
		return nil, err
	}
	if err := checkOwner(ctx, act, act.Actor.Authority, []document{documentOf(p)}); err != nil {
		return nil, err
	}
	if err := stillGoverns(ctx, act, p); err != nil {
		return nil, err
	}
	norms, others, err := surroundings(ctx, act, p)
	if err != nil {
		return nil, err
	}
	if err := centralFees(&p, norms.FeeTypes); err != nil {
		return nil, err
	}
	merged, err := mergedInto(ctx, act, act.Actor.Authority)
	if err != nil {
		return nil, err
	}
	replaced, err := replace(&p, others, append(merged, act.Actor.Authority))
	if err != nil {
		return nil, err
	}
	norms.Policies = []schedule.Policy{p}
	for _, o := range others {
		norms.Policies = append(norms.Policies, o.Policy)
	}
	if err := clashes(&p, norms); err != nil {
		return nil, err
	}
	return replaced, failing(&p, norms)
}

// stillGoverns refuses policies of an authority that was merged away before their first day.
func stillGoverns(ctx context.Context, tx pgx.Tx, p schedule.Policy) error {
	owner, err := registry.FindAuthority(ctx, tx, p.Authority.Code)
	if err != nil || owner.ValidTo.IsZero() || !p.ValidFrom.After(owner.ValidTo) {
		return err
	}
	if owner.Successor == "" {
		return ErrOwner.With("%s ended on %s and adopts nothing that starts later", owner.Code, owner.ValidTo)
	}
	return ErrOwner.With("%s ended on %s: what starts later is a matter of its successor %s", owner.Code, owner.ValidTo, owner.Successor)
}

// surroundings are the fee types and the other policies where the policy or its cases apply.
func surroundings(ctx context.Context, tx pgx.Tx, p schedule.Policy) (quote.Schedule, []RecordedPolicy, error) {
	places := slices.Clone(p.Territory)
	for _, c := range p.Cases {
		if c.Territory != "" {
			places = append(places, c.Territory)
		}
	}
	filter := policyFilter{territories: places, limit: schedule.MaxPolicies}
	if slices.Contains(places, schedule.Everywhere) {
		places = append(places, quote.AnyProvince)
		filter.territories = nil
	}
	types, err := feeTypesAcross(ctx, tx, places)
	if err != nil {
		return quote.Schedule{}, nil, err
	}
	others, err := findPolicies(ctx, tx, filter)
	if err != nil {
		return quote.Schedule{}, nil, err
	}
	others = slices.DeleteFunc(others, func(o RecordedPolicy) bool { return o.Policy.ID == p.ID })
	return quote.Schedule{FeeTypes: types}, others, nil
}

// centralFees refuses a council's policy that names fees it cannot reach: the
// rate of a central fee changes by a central text, or a subsidy pays it.
func centralFees(p *schedule.Policy, types []schedule.FeeType) error {
	var found fault.Problems
	for i, code := range p.Scope.FeeTypes {
		for _, f := range types {
			if f.Code == code && quote.BeyondCouncil(p, f) {
				found.Add(
					fault.Element("/scope/fee_types", i),
					"%s is set by the central government (do trung ương quy định mức thu): a council may subsidise it, not change it", code,
				)
				break
			}
		}
	}
	return found.As(ErrCentralFee)
}

// replace ends the policies that p names in replaces on the day before its
// first, in others itself, and returns the acts that do so. Only policies of
// the same authority, or of one merged into it, can be replaced.
func replace(p *schedule.Policy, others []RecordedPolicy, mine []string) ([]step, error) {
	var steps []step
	last := p.ValidFrom.AddDays(-1)
	for i := range others {
		o := &others[i]
		at := slices.Index(p.Replaces, o.Policy.ID)
		to, can := o.Policy.Status.After(schedule.ActSupersede)
		switch {
		case at < 0 || !can || !o.Policy.ValidTo.IsZero() && !o.Policy.ValidTo.After(last):
			continue // not named, no longer alive, or over by then
		case !slices.Contains(mine, o.owner):
			return nil, ErrOwner.With("%s belongs to %s and cannot be replaced by %s", o.Policy.ID, o.owner, p.Authority.Code).
				At(fault.Element("/replaces", at), "is a policy of another authority")
		}
		end := last
		if never := o.Policy.ValidFrom.AddDays(-1); never.After(end) {
			end = never // it would have started later, and never does
		}
		steps = append(steps, step{about: *o, act: schedule.ActSupersede, to: to, endsOn: end, replacedBy: p.ID})
		o.Policy.EndOn(end)
		o.Policy.Status = to
	}
	return steps, nil
}

// clashes explains every adopted policy that p overlaps with or contradicts.
func clashes(p *schedule.Policy, s quote.Schedule) error {
	e := ErrClash
	for i := range s.Policies {
		other := &s.Policies[i]
		if other.ID == p.ID || !other.Status.Adopted() || len(e.Fields) == fault.MaxProblems {
			continue
		}
		said, found := quote.Clash(p, other, s.FeeTypes)
		if !found {
			continue
		}
		if len(e.Fields) == 0 {
			e = e.With("%s", said.En)
		}
		e = e.At("/scope", said.Vi+" / "+said.En)
	}
	if len(e.Fields) > 0 {
		return e
	}
	return nil
}

// failing evaluates the policy's own cases as if it were adopted.
func failing(p *schedule.Policy, s quote.Schedule) error {
	var found fault.Problems
	for _, c := range quote.CheckPolicy(p, s) {
		if !c.OK {
			found = append(found, fault.Field{Pointer: fault.Element("/cases", c.Case), Detail: c.Why})
		}
	}
	if len(found) > fault.MaxProblems {
		found = found[:fault.MaxProblems]
	}
	return found.As(ErrCases)
}
