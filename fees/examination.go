package fees

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/internal/auth/registry"
	"github.com/doisoat/doisoat/internal/fault"
	"github.com/doisoat/doisoat/internal/postgres"
)

// examine asks whether a policy could be adopted as things stand, and returns
// the acts that its adoption would mean for the policies it replaces.
func (s Service) examine(ctx context.Context, act postgres.Act, p Policy) ([]step, error) {
	p.Status = Approved
	if err := p.Validate(); err != nil {
		return nil, err
	}
	if err := checkOwner(ctx, act, act.Actor.Authority, []document{documentOf(p)}); err != nil {
		return nil, err
	}
	if err := stillGoverns(ctx, act, p); err != nil {
		return nil, err
	}
	schedule, others, err := surroundings(ctx, act, p)
	if err != nil {
		return nil, err
	}
	if err := p.centralFees(schedule.FeeTypes); err != nil {
		return nil, err
	}
	merged, err := mergedInto(ctx, act, act.Actor.Authority)
	if err != nil {
		return nil, err
	}
	replaced, err := p.replace(others, append(merged, act.Actor.Authority))
	if err != nil {
		return nil, err
	}
	schedule.Policies = []Policy{p}
	for _, o := range others {
		schedule.Policies = append(schedule.Policies, o.Policy)
	}
	if err := p.clashes(schedule); err != nil {
		return nil, err
	}
	return replaced, p.failing(schedule)
}

// stillGoverns refuses policies of an authority that was merged away before their first day.
func stillGoverns(ctx context.Context, tx pgx.Tx, p Policy) error {
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
func surroundings(ctx context.Context, tx pgx.Tx, p Policy) (Schedule, []RecordedPolicy, error) {
	places := slices.Clone(p.Territory)
	for _, c := range p.Cases {
		if c.Territory != "" {
			places = append(places, c.Territory)
		}
	}
	filter := policyFilter{territories: places, limit: maxPolicies}
	if slices.Contains(places, Everywhere) {
		places = append(places, anyProvince)
		filter.territories = nil
	}
	types, err := feeTypesAcross(ctx, tx, places)
	if err != nil {
		return Schedule{}, nil, err
	}
	others, err := findPolicies(ctx, tx, filter)
	if err != nil {
		return Schedule{}, nil, err
	}
	others = slices.DeleteFunc(others, func(o RecordedPolicy) bool { return o.Policy.ID == p.ID })
	return Schedule{FeeTypes: types}, others, nil
}

// centralFees refuses a council's policy that names fees it cannot reach: the
// rate of a central fee changes by a central text, or a subsidy pays it.
func (p *Policy) centralFees(types []FeeType) error {
	var found problems
	for i, code := range p.Scope.FeeTypes {
		for _, f := range types {
			if f.Code == code && p.reach(f).why == WhyCentralFee {
				found.add(pointer("/scope/fee_types", i), "%s is set by the central government (do trung ương quy định mức thu): a council may subsidise it, not change it", code)
				break
			}
		}
	}
	return found.fault(ErrCentralFee)
}

// replace ends the policies that p names in replaces on the day before its
// first, in others itself, and returns the acts that do so. Only policies of
// the same authority, or of one merged into it, can be replaced.
func (p *Policy) replace(others []RecordedPolicy, mine []string) ([]step, error) {
	var steps []step
	last := p.ValidFrom.AddDays(-1)
	for i := range others {
		o := &others[i]
		at := slices.Index(p.Replaces, o.Policy.ID)
		to, can := o.Policy.Status.After(ActSupersede)
		switch {
		case at < 0 || !can || !o.Policy.ValidTo.IsZero() && !o.Policy.ValidTo.After(last):
			continue // not named, no longer alive, or over by then
		case !slices.Contains(mine, o.owner):
			return nil, ErrOwner.With("%s belongs to %s and cannot be replaced by %s", o.Policy.ID, o.owner, p.Authority.Code).
				At(pointer("/replaces", at), "is a policy of another authority")
		}
		end := last
		if never := o.Policy.ValidFrom.AddDays(-1); never.After(end) {
			end = never // it would have started later, and never does
		}
		steps = append(steps, step{about: *o, act: ActSupersede, to: to, endsOn: end, replacedBy: p.ID})
		o.Policy.endOn(end)
		o.Policy.Status = to
	}
	return steps, nil
}

// clashes explains every adopted policy that p overlaps with or contradicts.
func (p *Policy) clashes(s Schedule) error {
	e := ErrClash
	for i := range s.Policies {
		other := &s.Policies[i]
		if other.ID == p.ID || !other.Status.adopted() || len(e.Fields) == maxProblems {
			continue
		}
		said, found := clash(p, other, s.FeeTypes)
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
func (p *Policy) failing(s Schedule) error {
	var found problems
	for _, c := range CheckPolicy(p, s) {
		if !c.OK {
			found = append(found, fault.Field{Pointer: pointer("/cases", c.Case), Detail: c.Why})
		}
	}
	if len(found) > maxProblems {
		found = found[:maxProblems]
	}
	return found.fault(ErrCases)
}
