package server

import (
	"fmt"
	"strconv"

	"github.com/hostler-project/hostler/compute"
)

// Page is the query that selects a page of a list.
type Page struct {
	After  string `query:"after" doc:"what follows this: the next of the page before"`
	Limit  int    `query:"limit" minimum:"1" maximum:"100000" default:"1000" doc:"so many at most"`
	Fields Fields `query:"fields" example:"name,state,lease.id" doc:"only these fields of each, as NAME or NAME.NAME; those that are left out are not there, whatever the schema requires. None: all"`
}

// row returns the record number in After. Numbers grow and are never used again. So a list read
// page by page has each record once that existed all the time, even if the list changes meanwhile.
func (p Page) row() (int64, error) {
	if p.After == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(p.After, 10, 64)
	if err != nil || n < 1 {
		return 0, &compute.Error{
			Kind: compute.ErrInvalid, Err: fmt.Errorf("after=%q: this is no page's next", p.After),
			Hint: "leave it out for the first page, and give the next of a page for the one that follows",
		}
	}
	return n, nil
}

// cut returns a page from one record more than its limit, and where the next page begins; "": there
// is none.
func cut[T any](read []T, limit int, row func(T) int64) (page []T, next string) {
	if len(read) <= limit {
		return read, ""
	}
	return read[:limit], strconv.FormatInt(row(read[limit-1]), 10)
}
