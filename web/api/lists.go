package api

import (
	"encoding"
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/doisoat/doisoat/internal/page"
	"github.com/doisoat/doisoat/web"
	"github.com/doisoat/doisoat/web/api/openapi"
)

// defaultLimit is the page size when the caller names none; the description bounds it above.
const defaultLimit = 50

func limitOf(limit openapi.Limit) int {
	if limit == 0 {
		return defaultLimit
	}
	return int(limit)
}

// views shows every item of a list; an empty list is [] in JSON, never null.
func views[T, V any](list []T, view func(T) V) []V {
	shown := make([]V, 0, len(list))
	for _, item := range list {
		shown = append(shown, view(item))
	}
	return shown
}

// idOf is a pointer to an id, which reads its outside form.
type idOf[T any] interface {
	*T
	encoding.TextUnmarshaler
}

// parseID reads an id. A text that is no id of this noun names a thing that does not exist, so the caller gets the room's error of
// absence.
func parseID[T any, P idOf[T]](text string, absent error) (id T, err error) {
	if P(&id).UnmarshalText([]byte(text)) != nil {
		return id, absent
	}
	return id, nil
}

// filterID reads an id that narrows a list; an empty text gives the zero id, which does not narrow it.
func filterID[T any, P idOf[T]](text string, absent error) (id T, err error) {
	if text == "" {
		return id, nil
	}
	return parseID[T, P](text, absent)
}

// cursorID reads the id after which a page begins; the first page has no cursor.
func cursorID[T any, P idOf[T]](cursor string) (T, error) { return filterID[T, P](cursor, errCursor) }

// cursorTo writes the cursor of the next page, null at the end of a list.
func cursorTo(next shownAs) *string { return cursorView(shownID(next)) }

func cursorView(next string) *string {
	if next == "" {
		return nil
	}
	return &next
}

// keyCursor and cursorKey hide the key inside a cursor, so that no caller builds on its form.
func keyCursor(key string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(key))
}

// errCursor: the cursor belongs to another list, or no list made it.
var errCursor = web.ErrParameter.At("?cursor", "is not a cursor of this list")

func cursorKey(cursor string) (string, error) {
	key, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || !storable(string(key)) {
		return "", errCursor
	}
	return string(key), nil
}

// pageOf cuts one page out of a short list that the room gives whole, in order of key.
func pageOf[T any](all []T, cursor string, limit openapi.Limit, key func(T) string) (cut []T, next *string, err error) {
	after, err := cursorKey(cursor)
	if err != nil {
		return nil, nil, err
	}
	slices.SortFunc(all, func(a, b T) int { return strings.Compare(key(a), key(b)) })
	all = slices.DeleteFunc(all, func(item T) bool { return after != "" && key(item) <= after })
	cut, last := page.Cut(all, limitOf(limit), key)
	return cut, cursorView(keyCursor(last)), nil
}

func hexOf(id uuid.UUID) string { return hex.EncodeToString(id[:]) }

func hexText(b []byte) string { return hex.EncodeToString(b) }
