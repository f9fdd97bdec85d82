package api

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/ledger"
	"github.com/doisoat/doisoat/ledger/proof"
	"github.com/doisoat/doisoat/ledger/seal"
	"github.com/doisoat/doisoat/web"
	"github.com/doisoat/doisoat/web/api/openapi"
)

// The room that verifies a proof also encodes it, so that the answer equals, byte for byte, the file that doisoat verify reads.
type (
	dailyProof     struct{ seal.DailyProof }
	inclusionProof struct{ proof.InclusionProof }
)

// VisitReadDailyProofResponse implements ReadDailyProofResponseObject.
func (p dailyProof) VisitReadDailyProofResponse(w http.ResponseWriter) error {
	return writeProof(w, p.DailyProof)
}

// VisitReadEntryProofResponse implements ReadEntryProofResponseObject.
func (p inclusionProof) VisitReadEntryProofResponse(w http.ResponseWriter) error {
	return writeProof(w, p.InclusionProof)
}

func writeProof(w http.ResponseWriter, p any) error {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	return json.NewEncoder(w).Encode(p)
}

// ReadDailyProof handles GET /v1/proofs/{date}.
func (s *server) ReadDailyProof(ctx context.Context, r openapi.ReadDailyProofRequestObject) (openapi.ReadDailyProofResponseObject, error) {
	y, m, d := r.Date.Date()
	p, err := s.rooms.Seal.DailyProof(ctx, web.Actor(ctx), calendar.Date{Year: y, Month: m, Day: d})
	return dailyProof{p}, err
}

// ReadEntryProof handles GET /v1/ledger/entries/{id}/proof.
func (s *server) ReadEntryProof(ctx context.Context, r openapi.ReadEntryProofRequestObject) (openapi.ReadEntryProofResponseObject, error) {
	if strings.HasPrefix(r.ID, "cap_") { // a receipt confirms a capture
		p, err := s.rooms.Seal.ProveCause(ctx, web.Actor(ctx), ledger.Cause{Kind: "capture", ID: r.ID, Event: "captured"})
		return inclusionProof{p}, err
	}
	id, err := parseID[ledger.EntryID](r.ID, ledger.ErrEntryNotFound)
	if err != nil {
		return nil, err
	}
	p, err := s.rooms.Seal.Prove(ctx, web.Actor(ctx), id)
	return inclusionProof{p}, err
}
