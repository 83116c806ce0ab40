package regiontest

import (
	"path/filepath"
	"time"

	"gongji/gateway/internal/archivist"
	"gongji/gateway/internal/evidence"
)

// ArchiveDir is where a node of a region keeps its archives.
func (f *Federation) ArchiveDir(r *Region, n *Node) string {
	return filepath.Join(f.config.Archives, n.mem.Status().ID+"-"+string(r.Code))
}

// folder is where a node reads what has left its state.
func (f *Federation) folder(r *Region, n *Node) evidence.Folder {
	if f.config.Archives == "" {
		return evidence.Folder{}
	}
	return evidence.Folder{Dir: f.ArchiveDir(r, n), Hash: r.Sealer.Hash}
}

func (f *Federation) makeArchivist(r *Region, n *Node) error {
	if f.config.Archives == "" {
		return nil
	}
	keep := f.config.ArchiveKeep
	if keep == 0 {
		keep = 24 * time.Hour
	}
	var err error
	n.Archives, err = archivist.New(archivist.Deps{
		Region: r.Code, Log: n.Log, Ledger: n.Ledger, Sealer: r.Sealer, Dir: f.ArchiveDir(r, n), Keep: keep, Many: 1,
		Every: archivist.LookStandard,
		Node:  n.mem.Status().ID, Nodes: len(r.Nodes), Now: r.clock, Logger: n.Logger(), Audit: n.Audits.add,
		Registerer: n.Registry,
	})
	return err
}
