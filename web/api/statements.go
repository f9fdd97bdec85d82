package api

import (
	"context"
	"errors"
	"io"
	"mime/multipart"
	"regexp"

	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/fault"
	"github.com/doisoat/doisoat/web"
)

// maxField bounds a text part of an upload; maxFileName what is kept of a file's name.
const (
	maxField    = 256
	maxFileName = 200
)

var sourceCode = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$`)

// upload is a statement file as it arrived.
type upload struct {
	source   string
	fileName string
	file     []byte
	dryRun   bool
}

// UploadStatement handles POST /v1/statements. The role is asked before 64 MiB are read.
func (s *server) UploadStatement(ctx context.Context, r UploadStatementRequestObject) (UploadStatementResponseObject, error) {
	if err := auth.Require(web.Actor(ctx), auth.PermStatementWrite); err != nil {
		return nil, err
	}
	if _, err := readUpload(r.Body); err != nil {
		return nil, err
	}
	return nil, errPending
}

// readUpload reads the parts in any order. Uploads are not validated against
// the description before, so the checks are here: each part once, none unknown.
func readUpload(parts *multipart.Reader) (upload, error) {
	var u upload
	seen := map[string]bool{}
	for {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return upload{}, uploadFault(err)
		}
		name := part.FormName()
		if seen[name] {
			return upload{}, web.ErrDuplicate.At(pointerTo(name), "stands there twice")
		}
		seen[name] = true
		if err := u.readPart(name, part); err != nil {
			return upload{}, err
		}
	}
	wrong := web.ErrInvalid
	if !sourceCode.MatchString(u.source) {
		wrong = wrong.At("/source", "must be the code of a source")
	}
	if len(u.file) == 0 {
		wrong = wrong.At("/file", "is needed and must not be empty")
	}
	if len(wrong.Fields) > 0 {
		return upload{}, wrong
	}
	return u, nil
}

func (u *upload) readPart(name string, part *multipart.Part) error {
	if name == "file" {
		text, err := io.ReadAll(io.LimitReader(part, maxStatement+1))
		if err != nil {
			return uploadFault(err)
		}
		if len(text) > maxStatement {
			return web.ErrTooLarge.With("the file is larger than %d bytes", maxStatement)
		}
		u.file, u.fileName = text, cleanFileName(part.FileName())
		return nil
	}
	text, err := io.ReadAll(io.LimitReader(part, maxField+1))
	switch {
	case err != nil:
		return uploadFault(err)
	case name == "source":
		u.source = string(text)
	case name == "dry_run" && (string(text) == "true" || string(text) == "false"):
		u.dryRun = string(text) == "true"
	case name == "dry_run":
		return web.ErrInvalid.At("/dry_run", "must be true or false")
	default:
		return web.ErrInvalid.At(pointerTo(name), "is not known here")
	}
	return nil
}

// pointerTo names a part; its name comes from the caller and is bounded before it is shown.
func pointerTo(name string) string {
	if len(name) > maxField || !storable(name) {
		return ""
	}
	return "/" + web.EscapePointer(name)
}

// cleanFileName keeps a file's name for people; it is never used as a path.
func cleanFileName(name string) string {
	if !storable(name) {
		return ""
	}
	if runes := []rune(name); len(runes) > maxFileName {
		return string(runes[:maxFileName])
	}
	return name
}

// uploadFault: a body that ends early or is too large is the caller's; net/http tells which.
func uploadFault(err error) error {
	if _, ok := fault.Of(err); ok || web.ProblemOf(err).Code == web.ErrTooLarge.Code {
		return err
	}
	return web.ErrMalformed.With("the multipart body could not be read").Because(err)
}
