package api

import "time"

// Webhook is a receiver of events, and how far it has come.
type Webhook struct {
	Name      string    `json:"name"`
	URL       string    `json:"url" doc:"URL without the parts that may be secret"`
	Events    []string  `json:"events,omitempty" doc:"Kinds of events that are sent. Left out: all."`
	Sources   []string  `json:"sources,omitempty" doc:"Only events of these sources are sent. Left out: of all."`
	Projects  []string  `json:"projects,omitempty" doc:"Only events of these projects are sent. Left out: of all."`
	After     int64     `json:"after" doc:"All events up to this ID are delivered"`
	Delivered int64     `json:"delivered" doc:"Number of delivered events"`
	Last      time.Time `json:"last,omitzero" doc:"Time of the last delivery"`
	Failures  int       `json:"failures" doc:"Failures in a row"`
	Since     time.Time `json:"since,omitzero" doc:"When the first of these failures was"`
	Error     string    `json:"error,omitempty" doc:"Error of the last failure"`
	Retry     time.Time `json:"retry,omitzero" doc:"When the next attempt is"`
}

// WebhookTest is the result of a test delivery.
type WebhookTest struct {
	Name   string  `json:"name"`
	Status int     `json:"status,omitempty" doc:"HTTP status of the receiver's answer"`
	Took   float64 `json:"took" doc:"Seconds that the attempt took"`
	Error  string  `json:"error,omitempty" doc:"Why the delivery failed. Left out if it succeeded."`
}
