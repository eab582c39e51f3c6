package api

import "time"

// Webhook is a receiver of events, and how far it has come.
type Webhook struct {
	Name      string    `json:"name"`
	URL       string    `json:"url" doc:"without what may be secret in it"`
	Events    []string  `json:"events,omitempty" doc:"the kinds that it asks for; none: all"`
	Sources   []string  `json:"sources,omitempty" doc:"only of these; none: of all"`
	Projects  []string  `json:"projects,omitempty" doc:"only of these; none: of all"`
	After     int64     `json:"after" doc:"the id of the event up to which all is told"`
	Delivered int64     `json:"delivered" doc:"so many were told, ever"`
	Last      time.Time `json:"last,omitzero" doc:"when one was last told"`
	Failures  int       `json:"failures" doc:"in a row"`
	Since     time.Time `json:"since,omitzero" doc:"when the first of these was"`
	Error     string    `json:"error,omitempty" doc:"of the last of these"`
	Retry     time.Time `json:"retry,omitzero" doc:"when it is tried again"`
}

// WebhookTest is the result of a test delivery.
type WebhookTest struct {
	Name   string  `json:"name"`
	Status int     `json:"status,omitempty" doc:"of HTTP, as the receiver answered"`
	Took   float64 `json:"took" doc:"seconds"`
	Error  string  `json:"error,omitempty" doc:"why it was not taken; left out: it was"`
}
