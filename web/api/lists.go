package api

import (
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/doisoat/doisoat/web"
)

// defaultLimit is the page size when the caller names none; the description bounds it above.
const defaultLimit = 50

func limitOf(limit Limit) int {
	if limit == 0 {
		return defaultLimit
	}
	return int(limit)
}

// cursorView writes the end of a list as null.
func cursorView(next string) *string {
	if next == "" {
		return nil
	}
	return &next
}

// keyCursor and cursorKey hide that a cursor is a key, so that nobody builds on it.
func keyCursor(key string) string {
	if key == "" {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString([]byte(key))
}

// errCursor: the cursor is of another list, or made up.
var errCursor = web.ErrParameter.At("?cursor", "is not a cursor of this list")

func cursorKey(cursor string) (string, error) {
	key, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || !storable(string(key)) {
		return "", errCursor
	}
	return string(key), nil
}

// pageOf cuts one page out of a short list that its room gives whole, in order of key.
func pageOf[T any](all []T, cursor string, limit Limit, key func(T) string) (page []T, next *string, err error) {
	after, err := cursorKey(cursor)
	if err != nil {
		return nil, nil, err
	}
	slices.SortFunc(all, func(a, b T) int { return strings.Compare(key(a), key(b)) })
	page = []T{}
	for _, item := range all {
		if after != "" && key(item) <= after {
			continue
		}
		if len(page) == limitOf(limit) {
			return page, cursorView(keyCursor(key(page[len(page)-1]))), nil
		}
		page = append(page, item)
	}
	return page, nil, nil
}

func hexOf(id uuid.UUID) string { return hex.EncodeToString(id[:]) }

func hexText(b []byte) string { return hex.EncodeToString(b) }
