// Package server is a controller's HTTP API: what package pool can do, for callers elsewhere. It
// decides nothing about instances and leases; it says who asks (package auth), and speaks the
// documents of package api. `GET /openapi.json` describes it.
//
// # A new route
//
// Each path needs somebody whom the controller knows, but for /openapi.json, /healthz and /readyz,
// and each operation says which permission he must have:
//
//	register(s, huma.Operation{OperationID: "list-things", Extensions: needs(auth.See), ...}, s.listThings)
//
// A handler that huma does not serve (a WebSocket, say) is added to the mux, and described with its
// permission by s.api.OpenAPI().AddOperation; see connect.go. What says nothing is refused to
// everybody, and TestDeclared fails. needs(auth.Anyone) is for routes that are open to strangers.
//
// The permission only says that the asker has it in some project. What a handler does with a thing
// it does as one who has it in the thing's project:
//
//	asker(ctx)                                  who asks
//	who(ctx, in.Any, in.Token, auth.Release)    on whose behalf the engine is to act: it refuses leases of projects where he may not
//	asker(ctx).May(auth.See, lease.Project)     whether he sees a thing of a project; what he does not see is "not found", and left out of lists
//	asker(ctx).Wide(auth.See)                   whether he sees what belongs to no project, or to all
//	asker(ctx).Home(auth.Take)                  the project that a request means which names none
//
// TestWalk has a table of who may what: a new operation needs a line there, or it fails.
package server
