/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NFSD_GATE_NODE_NODE_H
#define NFSD_GATE_NODE_NODE_H

/* Nodes: inodes in memory, their locks, attributes, clients, permissions. */

#include "nfsd/gate/state/state.h"

/*
 * Each place where a request asks S3, or waits for a thread that does, stands
 * behind this: 0, or -EAGAIN with rq->again set.  It comes before the request
 * has changed anything, and never while a lock is held.
 */
static inline int
may_ask_store(struct gate_request *rq)
{
	if (rq->may_block && !rq->near)
		return 0;
	rq->again = GATE_NEEDS_STORE;
	return -EAGAIN;
}

/* Was it removed?  Without the mutex, as it is now. */
static inline bool
node_dead(const struct node *n)
{
	return __atomic_load_n(&n->dead, __ATOMIC_ACQUIRE);
}

enum { MAY_READ = 4, MAY_WRITE = 2, MAY_EXEC = 1 };

struct perm {			/* what decides, of one moment */
	int kind;		/* GATE_REG... */
	uint32_t mode, uid, gid;
};

/* A version that went out and had no answer. */
struct indoubt {
	LIST_ENTRY(indoubt) link;	/* of its node, the newest first */
	LIST_ENTRY(indoubt) all;	/* of the gate; gate->mutex */
	struct gate_export *x;
	uint64_t ino;
	bool stray;		/* not at the key that the path spells; both
				 * mutexes to change it */
	struct meta_indoubt sent;
};

/* Those that a file leaves to the one that takes its name. */
struct indoubt_heirloom {
	struct meta_indoubt *list;
	size_t count;
};

#define HASHES 4

/* A directory of at most so many names is listed anew rather than asked for
 * one name: about ten pages, some 200 ms. */
#define SMALL_DIR 10000

/* ---- node.c ---- */

/* By number, loaded if need be.  -ESTALE, -EAGAIN (may_block off). */
int node_get(struct gate *g, uint64_t ino, bool may_block, struct node **out)
	__attribute__((warn_unused_result));
/* Of these inodes, sorted by `ino % SHARDS`, those that are not in memory stay
 * at the front of the list, and out of memory until nodes_leave_end(). */
size_t nodes_leave(struct gate *g, uint64_t *inos, size_t count);
void nodes_leave_end(struct gate *g);
/* In memory only; NULL if it is not. */
struct node *node_find(struct gate *g, uint64_t ino);
/* In memory only, by name.  NULL if it is not. */
struct node *node_find_child(struct gate *g, uint64_t parent,
			     const char *name);
/* A new inode that SQLite has (or will have in the same breath).  locked: its
 * lock is the caller's from the start, so that nobody else becomes its first
 * writer. */
int node_add(struct gate_export *x, const struct meta_inode *row,
	     const struct meta_name *name, bool locked, struct node **out)
	__attribute__((warn_unused_result));
/* A change is about to make one that has to stay until S3 knows of it.  Are
 * there too many, and is the export's share of them taken?  -EAGAIN: let the
 * client come back. */
int node_room(struct gate_export *x, struct gate_request *rq)
	__attribute__((warn_unused_result));
void node_put(struct node **n);
struct node *node_ref(struct node *n);
/* Change what the tables know about its name.  Room for that name was made
 * before, while there was a way back. */
void node_rename(struct node *n, const struct meta_name *name);
int node_name_room(struct node *n, const struct meta_name *name)
	__attribute__((warn_unused_result));
void node_unname(struct node *n);	/* it has none any more */
/* The last component; "" for a root.  Copies under the mutex. */
void node_name(struct node *n, uint64_t *parent,
	       char name[META_NAME_MAX + 1]);
void nodes_free(struct gate *g);
/* Every node in memory, until each() returns other than 0. */
int each_node(struct gate *g, int (*each)(void *arg, struct node *n),
	      void *arg);

/* ---- fh.c ---- */
/* By file handle: also checks export and generation. */
int node_from_fh(struct gate_export *x, struct gate_request *rq,
		 const struct gate_fh *fh, struct node **out)
	__attribute__((warn_unused_result));
/* The other way; takes the mutex. */
struct gate_fh node_fh(struct node *n);

/* ---- lock.c ---- */

/* The file or directory lock.  -EAGAIN with rq->again set when it would
 * wait and must not. */
int node_lock(struct node *n, struct gate_request *rq)
	__attribute__((warn_unused_result));
void node_lock_wait(struct node *n);	/* background threads */
void node_unlock(struct node *n);
void node_unlock_locked(struct node *n);	/* mutex held */
/* Test builds abort if this thread has not locked it. */
#ifdef FAILPOINTS
void node_must_be_locked(const struct node *n);
void node_was_locked(const struct node *n);	/* by this thread */
#else
#define node_was_locked(n) ((void)(n))
#define node_must_be_locked(n) ((void)(n))
#endif
/* Wake all who wait for this node.  Mutex held. */
void node_changed_locked(struct node *n);
/* Park the request until the node changes or until_ms.  Mutex held.
 * Returns -EAGAIN with rq->again set; without a token waits here, with the
 * mutex released meanwhile, and sets again = GATE_NEEDS_THREAD. */
int node_hold_locked(struct node *n, struct gate_request *rq,
		     uint64_t until_ms);
/* See that tick() runs at that time.  Mutex held. */
void node_tick_at_locked(struct node *n, uint64_t at_ms);
/* The same for a time of run_ms(). */
void node_tick_run_locked(struct node *n, uint64_t run_at_ms);
/* For each_node: its timer may be lost, it is set again. */
int node_tick_anew(void *arg, struct node *n);

/* ---- view.c ---- */

/* What this client may see.  Mutex held. */
void node_attr_locked(struct node *n, const struct gate_request *rq,
		      struct gate_attr *out);
void node_attr(struct node *n, const struct gate_request *rq,
	       struct gate_attr *out);
void wcc_before(struct node *n, const struct gate_request *rq,
		struct gate_wcc *wcc);
void wcc_after(struct node *n, const struct gate_request *rq,
	       struct gate_wcc *wcc);
bool node_is_local_locked(const struct node *n);	/* S3 lags behind it */
bool node_fresh(struct node *n);	/* S3 need not be asked now */
/* Its attributes were never read, though it is not quite S3's any more: it
 * bears another name here.  Mutex held. */
bool object_unread_locked(const struct node *n);
/* A sub-directory comes to, or leaves, the directory of this row
 * (dir/nlink.c). */
void nlink_more(struct meta_inode *row);
void nlink_less(struct meta_inode *row);

/* ---- client.c ---- */
void client_id_text(const struct gate_export *x, const struct gate_request *rq,
		    char out[META_CLIENT_MAX]);
/* Has it a connection?  who: as client_id_text(x) tells it. */
bool client_connected(const struct gate_export *x, const char *who);
/* When it did last; 0: not known. */
uint64_t client_last_ms(const struct gate_export *x, const char *who);
/* Are there calls of it that nobody has answered or read, from before then?
 * No mutex is held. */
bool client_waits(const struct gate_export *x, const char *who,
		  uint64_t since_ms);
/* The holder is the same machine under an address that it has left: the
 * handle is this client's (rule.md 1).  Mutex held. */
bool client_moved_locked(const struct node *n, const struct gate_request *rq);
void client_ids_free(struct gate *g);
/* Is the client the file's writer?  Mutex held. */
bool client_holds_locked(const struct node *n, const struct gate_request *rq);

/* ---- perm.c ---- */
struct perm perm_of(const struct meta_inode *i);
struct perm node_perm(struct node *n);	/* takes the mutex */
int node_kind(struct node *n);		/* takes the mutex */
bool perm_allows(const struct gate_request *rq, struct perm p, unsigned want);
bool perm_owner(const struct gate_request *rq, struct perm p);
/* The mode after it has written to the file: set-id bits go. */
uint32_t perm_mode_written(const struct gate_request *rq,
			   const struct meta_inode *i);
bool perm_in_group(const struct gate_request *rq, uint32_t gid);
/* May a name of dir be removed or replaced (sticky bit)?  0 or -errno */
int perm_remove(const struct gate_request *rq, struct perm dir,
		struct perm victim);

/* ---- listing.c ---- */
/* Is its listing complete, and recent? */
bool scan_fresh(struct node *dir);
bool scan_known(struct node *dir);	/* listed whole before, small */
bool scan_small(struct node *dir);	/* ... or less small: ten pages */
/* As scan_fresh, mutex held. */
bool scan_fresh_locked(struct node *dir);
/* A directory that was just made here: nothing is in it. */
void scan_set_empty_locked(struct node *dir);
/* It is to be listed anew when it is asked for next. */
void scan_expire(struct node *dir);
void pruned_free(struct pruned *s);
/* What is known of its listing, made if there is nothing yet.  NULL: no memory.
 * Mutex held. */
struct scan *scan_of_locked(struct node *dir);
/* The one under way is over, or given up.  Mutex held. */
void scan_end_locked(struct scan *s);

/* ---- upload_row.c ---- */
/* A new upload is pending.  Mutex held, as for all of the row. */
void upload_row_begin_locked(struct node *n, int64_t since_ns);
/* The row, to be filled in.  NULL: no memory. */
struct meta_upload *upload_row_locked(struct node *n);
/* All of it is over, or of an older version. */
void upload_row_drop_locked(struct node *n);
/* Into a batch, as it is. */
void upload_row_put_locked(struct node *n, struct meta_batch *b);
void upload_row_error_locked(struct node *n, const char *error);
/* For how long S3 has refused it, while we ran. */
uint64_t upload_refused_ms_locked(const struct node *n);
/* On record: once more, or no longer. */
void upload_row_refused_locked(struct node *n);
/* After a restart: as it was, but for what was under way. */
void upload_row_recover_locked(struct node *n, const struct meta_upload *u);
/* Parts of an earlier try, whose abort or whose beginning had no answer, are in
 * the bucket perhaps: they go before another try begins. */
int upload_clear_parts(struct sending *s) __attribute__((warn_unused_result));
void upload_parts_cleared(struct sending *s);	/* they did */
/* The store was asked to begin one, and has answered, or nobody will. */
void upload_created(struct sending *s);

/* ---- indoubt.c ---- */

/* This version goes out, or may have gone out before a crash.  1; 0 if that
 * was known; -ENOMEM: it had better not go.  Mutex held. */
int indoubt_note_locked(struct node *n, const char *key,
			const struct meta_inode *row, const char *etag)
	__attribute__((warn_unused_result));
/* As a row: what this version looks like in the bucket. */
void indoubt_version(const char *key, const struct meta_inode *row,
		     const char *etag, struct meta_indoubt *out);
int indoubt_recover_locked(struct node *n, const struct meta_indoubt *sent)
	__attribute__((warn_unused_result));
/* What became of those at the key is known; NULL: of all.  Mutex held. */
void indoubt_forget_locked(struct node *n, const char *key);
/* Of all that are not at the base's key: the file is for no bucket. */
void indoubt_forget_left_locked(struct node *n);
/* May the key have got an object of ours, of which we do not know?  Mutex
 * held. */
bool indoubt_at_locked(const struct node *n, const char *key);
/* Went one to another key, that is not the base's?  A directory above the file
 * was renamed since.  Mutex held. */
bool indoubt_elsewhere_locked(const struct node *n, const char *key,
			      char sent[META_KEY_MAX + 2]);
/* What a file leaves to the one that takes its name, which spells this key:
 * before the rows are made (indoubt_rows_locked has them); */
int indoubt_leave(struct node *victim, const char *key,
		  struct indoubt_heirloom *out)
	__attribute__((warn_unused_result));
/* ... when they are committed, the rest. */
void indoubt_inherit(struct node *n, struct node *victim, const char *key,
		     const struct indoubt_heirloom *left);
void indoubt_heirloom_free(struct indoubt_heirloom *left);
/* It hides its key, or does no more.  Mutex held. */
void indoubt_stray(struct indoubt *l, bool stray);
/* Are they one and the same? */
bool indoubt_same(const struct meta_indoubt *a, const struct meta_indoubt *b);
/* Is it one of the two?  but NULL: no. */
bool indoubt_is_key_of(const char *key, const char *const but[2]);

/* ---- shown.c ---- */
/* Others are shown what the writer has written by now (data/shown_map.c).
 * -ENOMEM: they see what they saw.  Mutex held, as for what follows. */
int shown_take_locked(struct node *n) __attribute__((warn_unused_result));
/* What this client sees of it; NULL: nothing. */
const struct shown *shown_to_locked(const struct node *n,
				    const struct gate_request *rq);
/* As data_piece_locked. */
void shown_piece_locked(struct node *n, const struct shown *shown,
			uint64_t off, uint64_t end, struct piece *out);

/* ---- used.c ---- */
/* Where an inode's bits are. */
uint64_t known_hash(uint64_t ino);
/* The ith bit of an inode: which word of so many, and which in it; */
size_t place_in(size_t words, uint64_t hash, unsigned i, uint64_t *bit);
/* ... of who was used. */
size_t known_place(const struct known *k, uint64_t hash, unsigned i,
		   uint64_t *bit);
/* The younger set becomes the older, and a new one begins. */
void known_turn_locked(struct known *k);

#endif
