package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/cmd/doisoat/demo"
	"github.com/doisoat/doisoat/internal/auth"
)

// The end-to-end tests start the program as a process of its own, on a data
// folder of their own, and speak to it as portals, staff and providers do.

// Times of the tests, long enough for a busy machine with two processors.
const (
	readyWithin = 60 * time.Second
	stopWithin  = 60 * time.Second
	askWithin   = 30 * time.Second
)

// built is the program under test; the first test that needs it builds it.
var built struct {
	once sync.Once
	dir  string
	err  error
}

// tests are all tests of this package, with the program gone at the end.
type tests struct{ *testing.M }

// Run implements testscript.TestingM.
func (m tests) Run() int {
	code := m.M.Run()
	if built.dir != "" {
		_ = os.RemoveAll(built.dir)
	}
	return code
}

// binary returns the path of the program, built once for all tests.
func binary(t *testing.T) string {
	t.Helper()
	built.once.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "doisoat-bin-"); built.err != nil {
			return
		}
		args := []string{"build", "-o", filepath.Join(built.dir, "doisoat")}
		if info, ok := debug.ReadBuildInfo(); ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
			args = append(args, "-race") // a hunt for races looks into the program too
		}
		out, err := exec.Command("go", append(args, ".")...).CombinedOutput()
		if err != nil {
			built.err = fmt.Errorf("build: %w\n%s", err, out)
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return filepath.Join(built.dir, "doisoat")
}

// environment is the whole environment of the program: no setting of the developer, and the place
// of PostgreSQL's programs.
func environment(more ...string) []string {
	list := []string{"DOISOAT_LOG_LEVEL=debug", "DOISOAT_LOG_FORMAT=json"}
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH", "DOISOAT_PG_BIN", "DOISOAT_PG_HOME"} {
		if v, ok := os.LookupEnv(name); ok {
			list = append(list, name+"="+v)
		}
	}
	return append(list, more...)
}

// dataFolder is a temporary folder that the user who runs PostgreSQL may enter. Under root, the
// folders of the testing package do not allow this.
func dataFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "doisoat-e2e-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "data")
}

// Names of the demo, as the tests say them.
const firstAuthority = demo.FirstAuthority

type manifest = demo.Manifest

// devProgram is doisoat dev on a data folder. The test can kill it and start it again. Other
// goroutines may send requests meanwhile, and get no answer while it is down.
type devProgram struct {
	t      *testing.T
	dir    string
	env    []string
	more   []string // further arguments of the next start
	client *http.Client

	mu       sync.RWMutex
	manifest manifest
	cmd      *exec.Cmd
	exited   chan struct{} // closed when the process has ended
	exitErr  error         // how; read after exited
	starts   int
}

// startDev starts the program on a fresh data folder and stops it in order at
// the end of the test.
func startDev(t *testing.T, env ...string) *devProgram {
	t.Helper()
	d := &devProgram{t: t, dir: dataFolder(t), env: environment(env...), client: &http.Client{
		Timeout:       askWithin,
		Transport:     &http.Transport{MaxIdleConnsPerHost: 16},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	if err := os.MkdirAll(d.dir, 0o711); err != nil { // under root the server's user passes through
		t.Fatal(err)
	}
	t.Cleanup(d.client.CloseIdleConnections)
	t.Cleanup(func() {
		d.stop()
		if t.Failed() {
			t.Logf("end of the program's log:\n%s", d.logTail())
		}
	})
	d.start()
	return d
}

// logFile holds the log of every start.
func (d *devProgram) logFile() string { return filepath.Join(filepath.Dir(d.dir), "dev.log") }

// logTail is the end of the program's log without its requests, and of its database's.
func (d *devProgram) logTail() string {
	const most = 5000
	text, err := os.ReadFile(d.logFile())
	if err != nil {
		return err.Error()
	}
	var lines []string
	for line := range strings.Lines(string(text)) {
		if !strings.Contains(line, `"msg":"request"`) {
			lines = append(lines, line)
		}
	}
	end := strings.Join(lines, "")
	end = end[max(0, len(end)-most):]
	found, _ := filepath.Glob(filepath.Join(d.dir, "postgres-*.log")) // the pattern is fixed and well-formed
	for _, file := range found {
		text, err := os.ReadFile(file)
		if err != nil {
			return end + err.Error()
		}
		end += "\n" + filepath.Base(file) + ":\n" + string(text[max(0, len(text)-most):])
	}
	return end
}

// start starts the process and returns when it says that it is ready.
func (d *devProgram) start() {
	d.t.Helper()
	program := binary(d.t)
	d.starts++
	outFile := filepath.Join(filepath.Dir(d.dir), fmt.Sprintf("dev.out.%d", d.starts))
	out, err := os.Create(outFile)
	if err != nil {
		d.t.Fatal(err)
	}
	defer out.Close()
	logs, err := os.OpenFile(d.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		d.t.Fatal(err)
	}
	defer logs.Close()
	args := append([]string{"dev", "--data-dir", d.dir, "--listen", "127.0.0.1:0", "--simulator-listen", "127.0.0.1:0"}, d.more...)
	cmd := exec.Command(program, args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = d.env, out, logs // files, so that no goroutine has to read them
	exited, started := make(chan struct{}), make(chan error)
	go func() {
		// The program must not outlive a test that is killed, and Linux ties
		// that signal to the thread that started it.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
		err := cmd.Start()
		started <- err
		if err == nil {
			d.exitErr = cmd.Wait()
			close(exited)
		}
	}()
	if err := <-started; err != nil {
		d.t.Fatal(err)
	}
	d.mu.Lock()
	d.cmd, d.exited = cmd, exited
	d.mu.Unlock()
	d.awaitReady(outFile)
	m, err := demo.ReadManifest(filepath.Join(d.dir, demo.ManifestFile))
	if err != nil {
		d.t.Fatal(err)
	}
	d.mu.Lock()
	d.manifest = m
	d.mu.Unlock()
}

func (d *devProgram) awaitReady(outFile string) {
	d.t.Helper()
	deadline := time.Now().Add(readyWithin)
	for {
		if text, err := os.ReadFile(outFile); err == nil && bytes.Contains(text, []byte("doisoat is ready")) &&
			bytes.HasSuffix(text, []byte("\n")) {
			return
		}
		select {
		case <-d.exited:
			d.t.Fatalf("the program ended before it was ready: %v\n%s", d.exitErr, d.logTail())
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			d.t.Fatalf("the program is not ready after %s\n%s", readyWithin, d.logTail())
		}
	}
}

// place returns where the program is now.
func (d *devProgram) place() manifest {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.manifest
}

// kill ends the process as a loss of power does, and returns when it is gone.
func (d *devProgram) kill() {
	d.t.Helper()
	if err := d.cmd.Process.Kill(); err != nil {
		d.t.Fatal(err)
	}
	<-d.exited
}

// stop ends the process in order. A program that has ended already is left alone.
func (d *devProgram) stop() {
	d.t.Helper()
	select {
	case <-d.exited:
		return
	default:
	}
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		d.t.Error(err)
	}
	select {
	case <-d.exited:
		if d.exitErr != nil {
			d.t.Errorf("after SIGTERM: got %v, want exit code 0", d.exitErr)
		}
	case <-time.After(stopWithin):
		d.t.Errorf("the program does not stop within %s after SIGTERM", stopWithin)
		d.kill()
	}
}

// command runs another command of the program on the same data folder.
func (d *devProgram) command(args ...string) (code int, stdout, stderr string) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), readyWithin)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary(d.t), append(args, "--data-dir", d.dir)...)
	var out, errs bytes.Buffer
	cmd.Env, cmd.Stdout, cmd.Stderr = d.env, &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		d.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// mustCheck fails the test unless doisoat check finds everything right.
func (d *devProgram) mustCheck() {
	d.t.Helper()
	if code, stdout, stderr := d.command("check", "--json"); code != exitOK {
		d.t.Errorf("doisoat check: got exit code %d, want 0\n%s%s", code, stdout, stderr)
	}
}

// database opens the book as its owner, past row-level security.
func (d *devProgram) database() *pgx.Conn {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), askWithin)
	defer cancel()
	conn, err := pgx.Connect(ctx, d.place().DatabaseURL)
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { _ = conn.Close(context.Background()) }) // the server may be gone by then
	return conn
}

// key returns the key of a role at an authority; the empty role has none.
func (d *devProgram) key(authority string, role auth.Role) string {
	return d.place().Authorities[authority].Keys[role]
}

// answer is the response to a request; json is set when the body is an object.
type answer struct {
	status int
	header http.Header
	body   []byte
	json   map[string]any
}

// request asks base+path; body is sent as JSON when it is not empty. It
// returns an error when no answer came.
func (d *devProgram) request(key, method, url, body string, header ...string) (answer, error) {
	ctx, cancel := context.WithTimeout(context.Background(), askWithin)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header[http.CanonicalHeaderKey(header[i])] = []string{header[i+1]}
	}
	return d.send(r)
}

func (d *devProgram) send(r *http.Request) (answer, error) {
	response, err := d.client.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	a := answer{status: response.StatusCode, header: response.Header}
	if a.body, err = io.ReadAll(response.Body); err != nil {
		return answer{}, err
	}
	if strings.Contains(response.Header.Get("Content-Type"), "json") {
		_ = json.Unmarshal(a.body, &a.json) // a body that is no object leaves json empty
	}
	return a, nil
}

// ask is request to the API that ends the test when no answer comes.
func (d *devProgram) ask(key, method, path, body string, header ...string) answer {
	d.t.Helper()
	a, err := d.request(key, method, d.place().API+path, body, header...)
	if err != nil {
		d.t.Fatalf("%s %s: %v", method, path, err)
	}
	return a
}

// must is ask that ends the test unless the status is the wanted one.
func (d *devProgram) must(status int, key, method, path, body string, header ...string) answer {
	d.t.Helper()
	a := d.ask(key, method, path, body, header...)
	if a.status != status {
		d.t.Fatalf("%s %s: got %d, want %d: %s", method, path, a.status, status, a.body)
	}
	return a
}

// control commands the simulator and ends the test unless it obeys.
func (d *devProgram) control(method, path, body string) answer {
	d.t.Helper()
	a, err := d.request("", method, d.place().Simulator+"/control/"+path, body)
	if err != nil || a.status != http.StatusOK {
		d.t.Fatalf("%s /control/%s: %v %d %s", method, path, err, a.status, a.body)
	}
	return a
}

// at reads a member by dotted path, for example "charges.0.due"; nil when it is not there.
func (a answer) at(path string) any {
	var v any = a.json
	for step := range strings.SplitSeq(path, ".") {
		switch t := v.(type) {
		case map[string]any:
			v = t[step]
		case []any:
			var i int
			if json.Unmarshal([]byte(step), &i) != nil || i < 0 || i >= len(t) {
				return nil
			}
			v = t[i]
		default:
			return nil
		}
	}
	return v
}

// text is at for a member that is a string, "" when it is none.
func (a answer) text(path string) string {
	s, _ := a.at(path).(string)
	return s
}

// dossierBody is a dossier of H41 as a portal registers it: 100.000 đồng, of
// which the province's policy forgives 40.000. change replaces members.
func dossierBody(t *testing.T, code string, change map[string]any) string {
	t.Helper()
	body := map[string]any{
		"authority": firstAuthority, "code": code, "agency": firstAuthority + ".12",
		"submission": map[string]any{"channel": "online", "service_level": "toan_trinh", "submitted_at": "2024-05-02T09:00:00+07:00"},
		"applicant":  map[string]any{"name": "Nguyễn Văn An", "identifier": "040090001234", "groups": []string{}},
		"items":      []any{map[string]any{"fee_type": "LP_DKKD", "base": 100000}},
	}
	maps.Copy(body, change)
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// register registers a dossier and returns its path.
func (d *devProgram) register(code string) string {
	d.t.Helper()
	a := d.must(http.StatusCreated, d.key(firstAuthority, auth.RolePortal), http.MethodPost, "/v1/dossiers", dossierBody(d.t, code, nil))
	return a.header.Get("Location")
}

// pay registers a dossier, creates a payment and pays it at the simulator with
// its callback delivered. It returns the path of the dossier and the id of the payment.
func (d *devProgram) pay(code, provider string) (dossier, payment string) {
	d.t.Helper()
	dossier = d.register(code)
	p := d.must(http.StatusCreated, d.key(firstAuthority, auth.RolePortal), http.MethodPost, dossier+"/payments",
		`{"provider":"`+provider+`","return_url":"https://dvc.example.gov.vn/ket-qua"}`)
	done := d.control(http.MethodPost, "pay", payScript(p, "deliver"))
	if done.at("callback.replies.0.accepted") != true {
		d.t.Fatalf("pay %s: the callback was not accepted: %s", code, done.body)
	}
	return dossier, p.text("id")
}

// payScript tells the simulator to pay by the way that a created payment offers.
func payScript(p answer, callback string) string {
	target := map[string]any{"outcome": "paid", "callback": callback}
	if url := p.text("checkout.url"); url != "" {
		target["url"] = url
	} else {
		target["qr"] = p.text("checkout.qr.payload")
	}
	text, _ := json.Marshal(target) // strings always marshal
	return string(text)
}
