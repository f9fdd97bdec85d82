package auth

import (
	"errors"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/doisoat/doisoat/internal/fault"
)

var update = flag.Bool("update", false, "write docs/permissions.md anew")

// declared returns the values of the constants of a type, read from the
// source, so that one left out of a table is seen.
func declared(t *testing.T, file, typ string) []string {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var values []string
	ast.Inspect(f, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if name, ok := spec.Type.(*ast.Ident); !ok || name.Name != typ {
			return true
		}
		for _, v := range spec.Values {
			text, err := strconv.Unquote(v.(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			values = append(values, text)
		}
		return true
	})
	return values
}

// Roles are all roles, in the order of the manual.
func Roles() []Role { return append(KeyRoles(), RoleOperator, RoleSystem) }

// Permissions lists every permission in the order of the manual.
func Permissions() []Permission {
	list := make([]Permission, len(grants))
	for i, g := range grants {
		list[i] = g.permission
	}
	return list
}

func TestEveryRoleAndPermissionIsDecided(t *testing.T) {
	t.Parallel()
	var perms, roles []string
	for _, p := range Permissions() {
		perms = append(perms, string(p))
	}
	for _, r := range Roles() {
		roles = append(roles, string(r))
	}
	if diff := cmp.Diff(perms, declared(t, "permission.go", "Permission")); diff != "" {
		t.Errorf("rows of the table against declared permissions (-got +want):\n%s", diff)
	}
	if diff := cmp.Diff(roles, declared(t, "auth.go", "Role")); diff != "" {
		t.Errorf("listed roles against declared roles (-got +want):\n%s", diff)
	}
	for _, g := range grants {
		decided := allowed[g.permission]
		if len(decided) != len(roles) {
			t.Errorf("%s: got %d roles decided, want %d", g.permission, len(decided), len(roles))
		}
		if g.means == "" {
			t.Errorf("%s: says not what it means", g.permission)
		}
		for _, r := range Roles() {
			if _, ok := decided[r]; !ok {
				t.Errorf("%s: %s is not decided", g.permission, r)
			}
			err := Require(Actor{Authority: "H41", Role: r, ID: "x"}, g.permission)
			if (err == nil) != decided[r] || (err != nil && !errors.Is(err, ErrForbidden)) {
				t.Errorf("Require %s for %s: got %v, want allowed %t", g.permission, r, err, decided[r])
			}
		}
	}
}

func may(r Role) []Permission {
	var list []Permission
	for _, p := range Permissions() {
		if Allowed(r, p) {
			list = append(list, p)
		}
	}
	return list
}

// changes are all permissions that change something.
func changes() []Permission {
	return slices.DeleteFunc(Permissions(), func(p Permission) bool {
		return strings.HasSuffix(string(p), ".read") || p == PermQuote
	})
}

func TestSeparationOfDuties(t *testing.T) {
	t.Parallel()
	forbidden := func(r Role, list ...Permission) {
		for _, p := range list {
			if Allowed(r, p) {
				t.Errorf("%s may %s", r, p)
			}
		}
	}
	money := []Permission{
		PermDossierWrite, PermPaymentCreate, PermRefundRequest, PermRefundApprove, PermRefundConfirm,
		PermStatementWrite, PermReconcile, PermCasePropose, PermCaseApprove, PermRunClose,
	}
	forbidden(RoleAuditor, changes()...)
	forbidden(RoleAdmin, money...)
	forbidden(RoleOperator, PermDossierWrite, PermPaymentCreate, PermRefundRequest, PermRefundApprove, PermRefundConfirm, PermCasePropose,
		PermCaseApprove, PermRunClose)
	forbidden(RoleSystem, PermRefundApprove, PermCaseApprove, PermRunClose, PermPolicyApprove, PermKeysWrite, PermMerchantWrite)
	for _, p := range Permissions() {
		if strings.HasSuffix(string(p), ".read") && !Allowed(RoleAuditor, p) {
			t.Errorf("auditor may not %s", p)
		}
	}
	for _, pair := range [][2]Permission{
		{PermRefundRequest, PermRefundApprove},
		{PermRefundApprove, PermRefundConfirm},
		{PermCasePropose, PermCaseApprove},
		{PermPolicyDraft, PermPolicyApprove},
		{PermPaymentCreate, PermKeysWrite},
		{PermRefundApprove, PermKeysWrite},
		{PermRefundRequest, PermKeysWrite},
	} {
		for _, r := range Roles() {
			if Allowed(r, pair[0]) && Allowed(r, pair[1]) {
				t.Errorf("%s may both %s and %s", r, pair[0], pair[1])
			}
		}
	}
	for _, r := range Roles() {
		if len(may(r)) == 0 {
			t.Errorf("%s may nothing", r)
		}
	}
}

func TestRequireRefusesWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	for name, err := range map[string]error{
		"no actor":           Require(Actor{}, PermQuote),
		"no authority":       Require(Actor{Role: RoleAdmin, ID: "x"}, PermKeysWrite),
		"unknown role":       Require(Actor{Authority: "H41", Role: "root", ID: "x"}, PermQuote),
		"unknown permission": Require(Actor{Authority: "H41", Role: RoleAdmin, ID: "x"}, "money.print"),
		"no permission":      Require(System("H41"), ""),
	} {
		if got := fault.KindOf(err); err == nil || got != fault.Forbidden {
			t.Errorf("%s: got %v, want %s", name, err, fault.Forbidden)
		}
	}
}

// manual prints the table for people.
func manual() string {
	var b strings.Builder
	b.WriteString(`# Permissions

This page lists the permissions of each role. ` + "`make docs`" + ` prints the page from the table in
` + "`internal/auth/permission.go`" + `, and a test compares the two.

Every actor belongs to one authority. Row-level security in PostgreSQL hides the rows of other authorities from every
role. A maker never checks their own proposal, also when a role has both permissions: database constraints refuse the
act. ` + "`operator`" + ` is a person at the server's command line, and ` + "`system`" + ` is a job; neither has an API key.

`)
	b.WriteString("| permission | allowed acts |")
	for _, r := range Roles() {
		fmt.Fprintf(&b, " %s |", strings.ReplaceAll(string(r), "_", " "))
	}
	b.WriteString("\n| --- | --- |" + strings.Repeat(" :-: |", len(Roles())) + "\n")
	for _, g := range grants {
		fmt.Fprintf(&b, "| `%s` | %s |", g.permission, g.means)
		for _, r := range Roles() {
			if allowed[g.permission][r] {
				b.WriteString(" ● |")
			} else {
				b.WriteString("   |")
			}
		}
		b.WriteString("\n")
	}
	return b.String()
}

func TestManualSaysWhatTheTableSays(t *testing.T) {
	t.Parallel()
	const path = "../../docs/permissions.md"
	want := manual()
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(got), want); diff != "" {
		t.Errorf("docs/permissions.md (-got +want); print it anew with -update:\n%s", diff)
	}
}
