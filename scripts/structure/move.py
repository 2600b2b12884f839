#!/usr/bin/env python3
"""mover.py REPO [--apply] [PREFIX…]

Moves the files of moves.tsv whose old path (below src/) begins with one of PREFIX (default: all). Without --apply it only counts.
  1  `super::`, `self::` and child-relative paths that the move would break become `crate::…`
  2  `pub(super)` and `pub(in …)` of moved files become `pub(crate)`
  3  every `crate::old::…` of the crate is rewritten by the longest moved prefix; a module that is imported under its old name keeps
     that name by `as` (the renames are commits of their own)
  4  files are moved (git mv), `mod` lines move to the new parent, missing mod.rs are made with a TODO line
One old file becomes one new file: items are split by hand afterwards. Run `cargo fmt` after it."""
import os,re,sys,subprocess,collections
args=[a for a in sys.argv[1:] if not a.startswith('--')]; APPLY='--apply' in sys.argv
REPO=args[0]; ROOT=os.path.join(REPO,'src'); PREF=args[1:] or ['']
TABLE=os.path.join(os.path.dirname(os.path.abspath(__file__)),'moves.tsv')
T=dict(l.rstrip('\n').split('\t') for l in open(TABLE))
files=sorted(os.path.relpath(os.path.join(d,f),ROOT) for d,_,fs in os.walk(ROOT) for f in fs if f.endswith('.rs'))
sel={o:T[o] for o in files if o in T and T[o]!=o and any(o.startswith(p) for p in PREF)}
taken={f for f in files if f not in sel}
for o in sorted(sel):
    n=sel[o]
    if n in taken:
        n=n[:-3]+'_'+os.path.basename(o); print('MERGE BY HAND:',o,'→',sel[o],'; for now',n); sel[o]=n
    taken.add(n)
def mod_of(p):
    r=p[:-3].split('/')
    if r[-1]=='mod': r=r[:-1]
    return () if r in(['lib'],['main']) else tuple(r)
mods={mod_of(f) for f in files if f!='main.rs'}
new={mod_of(o):mod_of(n) for o,n in sel.items()}
def mapmod(t):
    for n in range(len(t),0,-1):
        if t[:n] in new: return new[t[:n]]+t[n:]
    return t
WIDE=set() if '--narrow' in sys.argv else {o.split('/')[0] for o,n in sel.items() if o.split('/')[0].removesuffix('.rs')!=n.split('/')[0].removesuffix('.rs')}
def path(t): return '::'.join(('crate',)+t)
PROTECT=re.compile(r'r(#*)"(?:.|\n)*?"\1|"(?:\\.|[^"\\])*"|//[^\n]*|\'(?:\\.|[^\'\\])\'')
PATH=re.compile(r'(?<![\w:.$\x00])(crate|super|self|[a-z_]\w*)((?:::\w+)+)')
USE=re.compile(r'(?m)^([ \t]*)((?:pub(?:\([^)]*\))? )?)use ([^;]+);')
stats=collections.Counter()
def inline_mods(s):
    out=[]
    for m in re.finditer(r'\bmod (\w+) \{',s):
        d=0
        for i in range(m.end()-1,len(s)):
            d+=s[i]=='{'; d-=s[i]=='}'
            if d==0 and s[i]=='}': out.append((m.start(),i,m.group(1))); break
    return out
def leaves(tree):
    out=[]
    def rec(pre,x):
        x=x.strip()
        if x.startswith('{'):
            d=0;cur=''
            for ch in x[1:x.rindex('}')]:
                d+=ch=='{'; d-=ch=='}'
                if ch==',' and d==0:
                    if cur.strip(): rec(pre,cur)
                    cur=''
                else: cur+=ch
            if cur.strip(): rec(pre,cur)
            return
        i,b=x.find('::'),x.find('{')
        if i>=0 and(b<0 or i<b): rec(pre+[x[:i].strip()],x[i+2:])
        else: out.append((pre,x))
    rec([],tree); return out
class File:
    def __init__(self,f):
        self.f,self.mod,self.moved=f,mod_of(f),f in sel
        self.keep=[]; self.touched=False
        def hide(m): self.keep.append(m.group(0)); return f'\x00{len(self.keep)-1}\x01'
        self.s=PROTECT.sub(hide,open(os.path.join(ROOT,f)).read())
    def here(self,pos,spans):
        m=self.mod
        for a,b,n in spans:
            if a<pos<b: m+=(n,)
        return m
    def absolute(self,here,p):
        "the module path that p means, or None where it is none of this crate"
        if p[0]=='crate': return tuple(p[1:])
        if p[0] in('super','self'):
            base,q=here,list(p)
            if q[0]=='self': q=q[1:]
            while q and q[0]=='super': base,q=base[:-1],q[1:]
            return base+tuple(q)
        return here+tuple(p) if here+(p[0],) in mods else None
    def stays(self,here,p,t):
        "what an inline module says of its own file moves with it"
        if p[0]!='super' or here==self.mod: return False
        own=len(self.mod)
        return t[:own]==self.mod and not any(t[:n] in mods for n in range(own+1,len(t)+1))
    def uses(self):
        spans=inline_mods(self.s)
        def one(m):
            ind,vis,tree=m.groups(); here=self.here(m.start(),spans); changed=False; lines=[]
            for pre,leaf in leaves(tree):
                name=re.split(r'\s+as\s+',leaf)[0].strip(); alias=leaf[len(name):].strip()
                p=pre+([name] if name!='self' else [])
                t=self.absolute(here,p)
                if t is None or self.stays(here,p,t): lines.append('::'.join(p)+(f' {alias}' if alias else '')); continue
                t2=mapmod(t)
                if here==self.mod and t in mods and t2==mapmod(self.mod)+(t[-1],) and not alias and t2!=t:
                    changed=True; stats['imports of what is now a child']+=1; continue
                if t2!=t or (self.moved and p[0]!='crate'):
                    changed=True
                    if t in mods and t2 and t[-1]!=t2[-1] and not alias: alias=f'as {t[-1]}'; stats['kept module names']+=1
                lines.append(path(t2)+(f' {alias}' if alias else ''))
            if not changed: return m.group(0)
            stats['use lines']+=1; self.touched=True
            return '\n'.join(f'{ind}{vis}use {l};' for l in lines)
        self.s=USE.sub(one,self.s)
    def paths(self):
        spans=inline_mods(self.s); blocked=[(m.start(),m.end()) for m in USE.finditer(self.s)]
        def one(m):
            if any(a<=m.start()<b for a,b in blocked): return m.group(0)
            p=[m.group(1)]+m.group(2)[2:].split('::'); here=self.here(m.start(),spans)
            t=self.absolute(here,p)
            if t is None or self.stays(here,p,t): return m.group(0)
            t2=mapmod(t)
            if t2==t and (p[0]=='crate' or not self.moved): return m.group(0)
            stats['inline paths']+=1; return path(t2)
        self.s=PATH.sub(one,self.s)
    def visibility(self):
        if self.moved or self.f.split('/')[0] in WIDE or (self.mod and self.mod[0] in WIDE):
            self.s,n=re.subn(r'\bpub\((?:super|in [^)]*)\)','pub(crate)',self.s); stats['visibilities']+=n
            if self.mod: self.s=re.sub(r'(?m)^mod (?!tests;)(\w+);','pub(crate) mod \\1;',self.s)
    def merge(self):
        "`use crate::a::X;` `use crate::a::Y;` → one line"
        LINE=r'[ \t]*(?:pub(?:\([^)]*\))? )?use crate(?:::\w+)+(?: as \w+)?;'
        def run(m):
            groups=collections.OrderedDict()
            for l in m.group(0).split('\n'):
                x=re.match(r'([ \t]*(?:pub(?:\([^)]*\))? )?use )(crate(?:::\w+)*?)::(\w+(?: as \w+)?);$',l)
                groups.setdefault((x.group(1),x.group(2)),[]).append(x.group(3))
            out=[]
            for (a,p),L in groups.items():
                L=sorted(set(L)); out.append(f'{a}{p}::{L[0]};' if len(L)==1 else f'{a}{p}::{{{", ".join(L)}}};')
            return '\n'.join(out)
        if self.touched: self.s=re.sub(rf'(?m)^{LINE}(?:\n{LINE})+$',run,self.s)
    def links(self):
        "links of doc comments"
        def fix(c):
            if not c.startswith('//'): return c
            def one(m):
                t=self.absolute(self.mod,m.group(1).split('::'))
                if t is None or (mapmod(t)==t and not (self.moved and not m.group(1).startswith('crate'))): return m.group(0)
                stats['doc links']+=1; return m.group(0).replace(m.group(1),path(mapmod(t)))
            c=re.sub(r'\(((?:crate|super|self)(?:::\w+)+)\)',one,c)
            return re.sub(r'\[`?((?:crate|super|self)(?:::\w+)+)`?\](?!\()',one,c)
        self.keep=[fix(c) for c in self.keep]
    def done(self): return re.sub(r'\x00(\d+)\x01',lambda m:self.keep[int(m.group(1))],self.s)
res={}
for f in files:
    if f=='main.rs': res[f]=open(os.path.join(ROOT,f)).read(); continue
    x=File(f); x.uses(); x.merge(); x.paths(); x.visibility(); x.links(); res[f]=x.done()
# `mod` lines
decl={}
MOD=re.compile(r'(?m)^((?:#\[[^\]]*\]\n)*)((?:pub(?:\([^)]*\))? )?)mod (\w+);\n')
for f in files:
    m=mod_of(f)
    def take(x):
        child=m+(x.group(3),)
        if f!='main.rs' and child in new and new[child]!=child: decl[child]=(x.group(1),x.group(2)); return ''
        return x.group(0)
    res[f]=MOD.sub(take,res[f])
out={sel.get(f,f):res[f] for f in files}
def modfile(m):
    if not m: return 'lib.rs'
    a,b='/'.join(m)+'/mod.rs','/'.join(m)+'.rs'
    return a if a in out else b if b in out else None
add=collections.defaultdict(set)
for old,n in new.items():
    if old!=n:
        attrs,vis=decl.get(old,('',None))
        if vis is None: print('no `mod` line was found for','::'.join(old)); vis=''
        add[n[:-1]].add((n[-1],attrs,vis if len(n)==1 and vis else 'pub(crate) '))
made=[]
for parent in sorted(add,key=len):
    for k in range(1,len(parent)+1):
        m=parent[:k]
        if modfile(m) is None:
            out['/'.join(m)+'/mod.rs']=f'//! TODO: why `{"::".join(m)}` exists.\n'; made.append('::'.join(m)); add[m[:-1]].add((m[-1],'','pub ' if k==1 else 'pub(crate) '))
for parent,L in add.items():
    f=modfile(parent); t=out[f]
    lines=''.join(f'{a}{v}mod {n};\n' for n,a,v in sorted(L))
    ms=list(re.finditer(r'(?m)^(?:pub(?:\([^)]*\))? )?mod \w+;\n',t))
    if ms: t=t[:ms[-1].end()]+lines+t[ms[-1].end():]
    else:
        k=re.match(r'(?:[ \t]*//![^\n]*\n)*',t).end(); t=t[:k]+'\n'+lines+('\n' if t[k:].strip() else '')+t[k:].lstrip('\n')
    out[f]=t
print(dict(stats),'files moved',len(sel),'new mod.rs',made)
if APPLY:
    git=os.path.exists(os.path.join(REPO,'.git'))
    def mv(a,b):
        os.makedirs(os.path.dirname(b),exist_ok=True)
        subprocess.check_call(['git','-C',REPO,'mv',a,b]) if git else os.rename(a,b)
    for o in sel: mv(os.path.join(ROOT,o),os.path.join(ROOT,o)+'.moving')
    for o,n in sel.items(): mv(os.path.join(ROOT,o)+'.moving',os.path.join(ROOT,n))
    for f,t in out.items():
        p=os.path.join(ROOT,f); os.makedirs(os.path.dirname(p),exist_ok=True); open(p,'w').write(t)
