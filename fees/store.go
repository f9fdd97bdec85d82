package fees

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/fees/schedule"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/postgres"
)

// noun is one of the two kinds of document that the room records.
type noun string

const (
	feeTypes    noun = "fee_type"
	policyTexts noun = "policy"
)

// recordedVersion is the latest version of a document before a load.
type recordedVersion struct {
	ID        string
	Authority string
	Version   int
	SHA       []byte
}

// lockVersions lets one load per noun run at a time and returns the latest
// versions of docs. Fee types are looked up within the owner, policies everywhere.
func (n noun) lockVersions(ctx context.Context, tx pgx.Tx, owner string, docs []document) (map[string]recordedVersion, error) {
	_, err := tx.Exec(ctx, `select pg_advisory_xact_lock(hashtextextended('fees.record.' || @noun, 0))`,
		pgx.StrictNamedArgs{"noun": string(n)})
	if err != nil {
		return nil, fmt.Errorf("lock %s versions: %w", n, err)
	}
	ids := make([]string, len(docs))
	for i, d := range docs {
		ids[i] = d.id
	}
	query, args := `
		select distinct on (v.policy) v.policy as id, v.authority, v.version, v.sha
		from fees.policy_version v
		where v.policy = any(@ids)
		order by v.policy, v.version desc`, pgx.StrictNamedArgs{"ids": ids}
	if n == feeTypes {
		query, args = `
		select distinct on (v.code) v.code as id, v.authority, v.version, v.sha
		from fees.fee_type_version v
		where v.authority = @owner and v.code = any(@ids)
		order by v.code, v.version desc`, pgx.StrictNamedArgs{"ids": ids, "owner": owner}
	}
	rows, err := tx.Query(ctx, query, args)
	if err != nil {
		return nil, fmt.Errorf("read %s versions: %w", n, err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[recordedVersion])
	if err != nil {
		return nil, fmt.Errorf("read %s versions: %w", n, err)
	}
	found := make(map[string]recordedVersion, len(list))
	for _, v := range list {
		found[v.ID] = v
	}
	return found, nil
}

// insert records the next versions with two statements.
func (n noun) insert(ctx context.Context, act postgres.Act, docs []document) error {
	if len(docs) == 0 {
		return nil
	}
	if n == feeTypes {
		return insertFeeTypes(ctx, act, docs)
	}
	return insertPolicies(ctx, act, docs)
}

func insertFeeTypes(ctx context.Context, act postgres.Act, docs []document) error {
	var codes, kinds, territories []string
	var versions []int32
	var texts, shas [][]byte
	for _, d := range docs {
		codes, kinds, territories = append(codes, d.id), append(kinds, string(d.kind)), append(territories, d.territory[0])
		versions = append(versions, int32(d.version)) //nolint:gosec // versions are few
		texts, shas = append(texts, d.text), append(shas, d.sha)
	}
	_, err := act.Exec(ctx, `
		insert into fees.fee_type (authority, code, kind, recorded_at)
		select @authority, d.code, d.kind, @now from unnest(@codes::text[], @kinds::text[]) as d (code, kind)
		on conflict (authority, code) do nothing`,
		pgx.StrictNamedArgs{"authority": act.Actor.Authority, "codes": codes, "kinds": kinds, "now": act.Now})
	if err != nil {
		return fmt.Errorf("insert fee types: %w", err)
	}
	_, err = act.Exec(ctx, `
		insert into fees.fee_type_version (authority, code, version, territory, document, sha, recorded_at, recorded_by)
		select @authority, d.code, d.version, d.territory, d.document, d.sha, @now, @actor
		from unnest(@codes::text[], @versions::int[], @territories::text[], @documents::jsonb[], @shas::bytea[])
			as d (code, version, territory, document, sha)`,
		pgx.StrictNamedArgs{
			"authority": act.Actor.Authority, "actor": act.Actor.ID, "now": act.Now,
			"codes": codes, "versions": versions, "territories": territories, "documents": texts, "shas": shas,
		})
	if err != nil {
		return fmt.Errorf("insert fee type versions: %w", err)
	}
	return nil
}

func insertPolicies(ctx context.Context, act postgres.Act, docs []document) error {
	var ids, statuses, territories, bases []string
	var versions []int32
	var from, to []*string
	var texts, shas [][]byte
	for _, d := range docs {
		territory, err := json.Marshal(d.territory) // unnest would flatten a list of lists
		if err != nil {
			return err
		}
		ids, statuses, bases = append(ids, d.id), append(statuses, string(d.status)), append(bases, d.basis)
		territories = append(territories, string(territory))
		versions = append(versions, int32(d.version)) //nolint:gosec // versions are few
		from, to = append(from, day(d.from)), append(to, day(d.to))
		texts, shas = append(texts, d.text), append(shas, d.sha)
	}
	_, err := act.Exec(ctx, `
		insert into fees.policy (id, authority, recorded_at)
		select d.id, @authority, @now from unnest(@ids::text[]) as d (id)
		on conflict (id) do nothing`,
		pgx.StrictNamedArgs{"authority": act.Actor.Authority, "ids": ids, "now": act.Now})
	if err != nil {
		return fmt.Errorf("insert policies: %w", err)
	}
	_, err = act.Exec(ctx, `
		insert into fees.policy_version (policy, version, authority, status, territory, legal_basis, valid_from, valid_to,
			document, sha, recorded_at, recorded_by)
		select d.id, d.version, @authority, d.status, array(select jsonb_array_elements_text(d.territory)), d.basis,
			d.valid_from::date, d.valid_to::date, d.document, d.sha, @now, @actor
		from unnest(@ids::text[], @versions::int[], @statuses::text[], @territories::jsonb[], @bases::text[],
			@from::text[], @to::text[], @documents::jsonb[], @shas::bytea[])
			as d (id, version, status, territory, basis, valid_from, valid_to, document, sha)`,
		pgx.StrictNamedArgs{
			"authority": act.Actor.Authority, "actor": act.Actor.ID, "now": act.Now, "ids": ids, "versions": versions, "statuses": statuses,
			"territories": territories, "bases": bases, "from": from, "to": to, "documents": texts, "shas": shas,
		})
	if err != nil {
		return fmt.Errorf("insert policy versions: %w", err)
	}
	return nil
}

// day is a date as text, nil for an open end.
func day(d calendar.Date) *string {
	if d.IsZero() {
		return nil
	}
	text := d.String()
	return &text
}

// mergedInto returns the authorities whose territory an authority took over. Authorities are public knowledge.
func mergedInto(ctx context.Context, tx pgx.Tx, owner string) ([]string, error) {
	rows, err := tx.Query(ctx, `select a.code from auth.authority a where a.successor = @owner order by a.code`,
		pgx.StrictNamedArgs{"owner": owner})
	if err != nil {
		return nil, fmt.Errorf("read merged authorities: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// feeTypesOf returns the latest fee types of a territory: its own, and the national ones that they do not hide.
func feeTypesOf(ctx context.Context, tx pgx.Tx, territory string) ([]schedule.FeeType, error) {
	return queryFeeTypes(ctx, tx, `
		select distinct on (l.code) l.version, l.document
		from (
			select distinct on (v.authority, v.code) v.authority, v.code, v.version, v.territory, v.document
			from fees.fee_type_version v
			order by v.authority, v.code, v.version desc
		) l
		where l.territory in ('*', @territory)
		order by l.code, (l.territory = '*'), l.authority`,
		pgx.StrictNamedArgs{"territory": territory})
}

func queryFeeTypes(ctx context.Context, tx pgx.Tx, query string, args pgx.StrictNamedArgs) ([]schedule.FeeType, error) {
	rows, err := tx.Query(ctx, query, args)
	if err != nil {
		return nil, fmt.Errorf("read fee types: %w", err)
	}
	type row struct {
		Version  int
		Document []byte
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByName[row])
	if err != nil {
		return nil, fmt.Errorf("read fee types: %w", err)
	}
	list := make([]schedule.FeeType, len(found))
	for i, r := range found {
		if err := json.Unmarshal(r.Document, &list[i]); err != nil {
			return nil, fmt.Errorf("read recorded fee type: %w", err)
		}
		list[i].Version = r.Version
	}
	return list, nil
}

// feeTypesAcross returns the latest fee types of several territories and the national ones, hidden ones too.
func feeTypesAcross(ctx context.Context, tx pgx.Tx, territories []string) ([]schedule.FeeType, error) {
	return queryFeeTypes(ctx, tx, `
		select distinct on (l.code, l.territory) l.version, l.document
		from (
			select distinct on (v.authority, v.code) v.authority, v.code, v.version, v.territory, v.document
			from fees.fee_type_version v
			order by v.authority, v.code, v.version desc
		) l
		where l.territory = '*' or l.territory = any(@territories)
		order by l.code, l.territory, l.authority`,
		pgx.StrictNamedArgs{"territories": territories})
}
