package replay

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/internal/postgres"
)

// PreviewInPages is Preview with pages of another size, which shows in the progress.
func (s *Service) PreviewInPages(
	ctx context.Context,
	authority string,
	r PreviewRequest,
	size int,
	progress func(done, total int64),
) (found Preview, err error) {
	err = postgres.ReadTx(ctx, s.DB.Pool, authority, func(tx pgx.Tx) error {
		p, err := s.preview(ctx, tx, authority, r, size, progress)
		if err == nil {
			found = p.preview()
		}
		return err
	})
	return found, err
}
