package api

import (
	"context"
	"encoding/json"
	"net/http"
)

func getTrace(ctx context.Context, f *Face, c *call) (answer, error) {
	id, err := c.plainID()
	if err != nil {
		return answer{}, err
	}
	trace, err := f.desk.Trace(ctx, c.caller.Platform, id)
	if err != nil {
		return answer{}, err
	}
	trace.Events = listed(trace.Events)
	return document(http.StatusOK, trace)
}

func getEvidence(ctx context.Context, f *Face, c *call) (answer, error) {
	id, err := c.plainID()
	if err != nil {
		return answer{}, err
	}
	bundle, err := f.desk.Evidence(ctx, c.caller.Platform, id)
	if err != nil {
		return answer{}, err
	}
	return document(http.StatusOK, json.RawMessage(bundle))
}

// plainID is the id in the path of a read that takes no body.
func (c *call) plainID() (string, error) {
	id, err := c.pathID()
	if err == nil {
		err = c.noBody()
	}
	return id, err
}
