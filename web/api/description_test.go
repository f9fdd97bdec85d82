package api

import (
	"bytes"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"
	"github.com/gorilla/mux"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/doisoat/doisoat/web/pay"
)

// undescribed are routes for browsers that programs have no use for.
var undescribed = []string{"GET /", "GET /docs/", "GET /pages/style.css"}

func TestDescriptionAndRouterAgree(t *testing.T) {
	t.Parallel()
	var routed []string
	pages := &pay.Pages{}
	router := newRouter(Rooms{}, Options{Metrics: prometheus.NewRegistry(), Pay: pages.Routes})
	err := router.Walk(func(route *mux.Route, _ *mux.Router, _ []*mux.Route) error {
		path, err := route.GetPathTemplate()
		if err != nil {
			return nil //nolint:nilerr // a subrouter without a path of its own
		}
		methods, err := route.GetMethods()
		if err != nil {
			return nil //nolint:nilerr // the same
		}
		for _, m := range methods {
			routed = append(routed, m+" "+path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	described := slices.Clone(undescribed)
	for path, item := range description().Paths.Map() {
		for method := range item.Operations() {
			described = append(described, method+" "+path)
		}
	}
	slices.Sort(routed)
	slices.Sort(described)
	if diff := cmp.Diff(routed, described); diff != "" {
		t.Errorf("routes (-routed +described):\n%s", diff)
	}
}

// TestDescriptionHabits checks the parts that every operation must have.
func TestDescriptionHabits(t *testing.T) {
	t.Parallel()
	doc := description()
	if err := doc.Validate(t.Context(), openapi3.EnableExamplesValidation()); err != nil {
		t.Errorf("the description or one of its examples is wrong: %v", err)
	}
	if len(doc.Servers) > 0 {
		t.Error("servers would make the validator answer 404 on every other host")
	}
	ids := map[string]bool{}
	for path, item := range doc.Paths.Map() {
		for method, o := range item.Operations() {
			name := method + " " + path
			if c := o.Extensions["x-consistency"]; c != "strong" && c != "eventual" {
				t.Errorf("%s: x-consistency is %v, want strong or eventual", name, c)
			}
			if o.OperationID == "" || ids[o.OperationID] {
				t.Errorf("%s: operationId %q is missing or used twice", name, o.OperationID)
			}
			ids[o.OperationID] = true
			if open := o.Security != nil && len(*o.Security) == 0; open == strings.HasPrefix(path, "/v1/") {
				t.Errorf("%s: open to everybody: %t", name, open)
			}
			if method == http.MethodPost && o.RequestBody != nil {
				for kind, media := range o.RequestBody.Value.Content {
					checkClosed(t, name+" "+kind, media.Schema.Value, map[*openapi3.Schema]bool{})
				}
			}
		}
	}
}

// checkClosed: an object in a request takes no unknown member, or says that it takes any.
func checkClosed(t *testing.T, at string, s *openapi3.Schema, seen map[*openapi3.Schema]bool) {
	t.Helper()
	if seen[s] {
		return
	}
	seen[s] = true
	if s.Type.Is("object") && s.AdditionalProperties.Has == nil && s.AdditionalProperties.Schema == nil {
		t.Errorf("%s: an object of a request must say additionalProperties", at)
	}
	for name, p := range s.Properties {
		checkClosed(t, at+"/"+name, p.Value, seen)
	}
	if s.Items != nil {
		checkClosed(t, at+"/0", s.Items.Value, seen)
	}
}

// TestDescribedCodesExist: a code that the description promises is declared in
// its room; a room that declares nothing is not built yet.
func TestDescribedCodesExist(t *testing.T) {
	t.Parallel()
	declared, rooms := map[string]bool{}, map[string]bool{}
	declaration := regexp.MustCompile(`fault\.New\(\s*fault\.\w+,\s*"([a-z_.]+)"`)
	err := fs.WalkDir(os.DirFS("../.."), ".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") {
			return err
		}
		text, err := os.ReadFile(filepath.Join("../..", path))
		for _, m := range declaration.FindAllSubmatch(text, -1) {
			room, _, _ := strings.Cut(string(m[1]), ".")
			declared[string(m[1])], rooms[room] = true, true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	promised := regexp.MustCompile("`((?:http|auth|fees|dossiers|payments|providers|refunds|reconcile|ledger)\\.[a-z_]+)`")
	for _, m := range promised.FindAllSubmatch(descriptionYAML, -1) {
		if room, _, _ := strings.Cut(string(m[1]), "."); rooms[room] && !declared[string(m[1])] {
			t.Errorf("openapi.yaml promises the code %s, which nothing declares", m[1])
		}
	}
}

func TestServedDescription(t *testing.T) {
	t.Parallel()
	text := descriptionJSON()
	if bytes.Contains(text, []byte("x-go-")) {
		t.Error("hints for our generator are shown to readers")
	}
	doc, err := openapi3.NewLoader().LoadFromData(text)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := doc.Paths.Len(), description().Paths.Len(); got != want {
		t.Errorf("%d paths, want %d", got, want)
	}
}

func TestGeneratedCodeIsCurrent(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("builds the generator")
	}
	out := filepath.Join(t.TempDir(), "gen.go")
	command := exec.CommandContext(t.Context(), "go", "tool", "-modfile=tools/go.mod", "oapi-codegen",
		"-config", "web/api/openapi/oapi-codegen.yaml", "-o", out, "web/api/openapi.yaml")
	command.Dir = "../.."
	if text, err := command.CombinedOutput(); err != nil {
		t.Fatalf("generate: %v\n%s", err, text)
	}
	got, err := os.ReadFile("openapi/gen.go")
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("openapi/gen.go is older than openapi.yaml: run go generate ./web/api/openapi")
	}
}
