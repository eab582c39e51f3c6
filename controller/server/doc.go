// Package server is a controller's HTTP API: the operations of package pool, for remote callers. It
// authenticates callers with package auth and speaks the documents of package api. It makes no
// decisions about instances and leases. `GET /openapi.json` describes it.
//
// # A new route
//
// Every path needs a known caller, except /openapi.json, /healthz and /readyz. Every operation
// declares the permission that the caller needs:
//
//	register(s, huma.Operation{OperationID: "list-things", Extensions: needs(auth.See), ...}, s.listThings)
//
// A handler that huma does not serve, such as a WebSocket, is added to the mux and described with
// its permission by s.api.OpenAPI().AddOperation; see connect.go. A route without a permission is
// refused to everybody, and TestDeclared fails. needs(auth.Anyone) is for routes that are open to
// everybody.
//
// The permission only says that the caller has it in some project. A handler must check the project
// of the thing itself:
//
//	asker(ctx)                                the caller
//	who(ctx, in.Any, in.Token, auth.Release)  for whom the engine acts, within its projects
//	asker(ctx).May(auth.See, lease.Project)   false: answer "not found", leave out of lists
//	asker(ctx).Wide(auth.See)                 may see what is of no project, or of all
//	asker(ctx).Home(auth.Take)                the project of a request that names none
//
// TestWalk has a table of callers and what they may do. A new operation needs a line there.
package server
