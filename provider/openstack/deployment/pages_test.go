package deployment_test

import (
	"context"

	"github.com/gophercloud/gophercloud/v2/pagination"
)

// allOf reads all pages of a list.
func allOf[T any](ctx context.Context, pager pagination.Pager, extract func(pagination.Page) ([]T, error)) ([]T, error) {
	pages, err := pager.AllPages(ctx)
	if err != nil {
		return nil, err
	}
	return extract(pages)
}
