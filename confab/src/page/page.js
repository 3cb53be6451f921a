// The first page: REST to read and write, EventSource to hear. Everything people
// wrote goes in as text, never as HTML.

const $ = id => document.getElementById(id)
let token, me, chats = new Map(), people = new Map(), current, stream

async function api(method, path, body) {
  const headers = body ? { 'content-type': 'application/json' } : {}
  if (token) headers.authorization = `Bearer ${token}`
  const answer = await fetch('/api' + path, { method, headers, body: body && JSON.stringify(body) })
  if (answer.status === 401 && token && path !== '/token/refresh' && await refresh()) return api(method, path, body)
  const text = await answer.text()
  const json = text ? JSON.parse(text) : null
  if (!answer.ok) throw new Error(json?.detail ?? answer.statusText)
  return json
}

// One at a time: a refresh token is good for one use, and its second use ends
// the session.
let refreshing
function refresh() {
  refreshing ??= refreshOnce().finally(() => { refreshing = undefined })
  return refreshing
}

async function refreshOnce() {
  const refresh_token = sessionStorage.refresh_token
  if (!refresh_token) return false
  try {
    keep(await api('POST', '/token/refresh', { refresh_token }))
    return true
  } catch {
    delete sessionStorage.refresh_token
    return false
  }
}

function keep(welcome) {
  token = welcome.token
  me = welcome.user
  sessionStorage.refresh_token = welcome.refresh_token
}

function element(name, props = {}, ...children) {
  const made = Object.assign(document.createElement(name), props)
  made.append(...children)
  return made
}

function face(user) {
  const name = user?.display_name ?? '?'
  const initials = name.split(/\s+/).map(word => word[0]).slice(0, 2).join('').toUpperCase()
  const made = element('span', { className: 'face', ariaHidden: 'true' }, initials)
  made.style.setProperty('--hue', ((user?.id ?? 0) * 67) % 360)
  return made
}

async function welcome() {
  $('welcome').hidden = false
  $('app').hidden = true
  const { demo } = await api('GET', '/config')
  $('people').replaceChildren(...(demo?.accounts ?? []).map((person, nth) => element('button', {
    type: 'button',
    onclick: () => signin({ email: person.email, password: demo.password }),
  }, face({ id: nth + 1, display_name: person.display_name }), person.display_name)))
}

async function signin(credentials) {
  $('refusal').textContent = ''
  try {
    keep(await api('POST', '/signin', credentials))
    await enter()
  } catch (error) {
    $('refusal').textContent = error.message
  }
}

async function enter() {
  $('welcome').hidden = true
  $('app').hidden = false
  $('me').textContent = me.display_name
  document.title = `${me.display_name} · Confab`
  listen()
  await load()
  $('text').focus()
}

async function load() {
  const { items } = await api('GET', '/chats')
  chats = new Map(items.map(chat => [chat.id, chat]))
  for (const chat of items) {
    chat.members = (await api('GET', `/chats/${chat.id}/members?limit=100`)).items
    for (const member of chat.members) people.set(member.id, member)
  }
  if (!chats.has(current)) current = items[0]?.id
  drawChats()
  await open(current)
}

function nameOf(chat) {
  if (chat.type === 'single') return chat.members?.find(member => member.id !== me.id)?.display_name ?? 'Direct chat'
  return (chat.type.endsWith('channel') ? '# ' : '') + (chat.name || 'Group')
}

function drawChats() {
  $('chats').replaceChildren(...[...chats.values()].map(chat => {
    const button = element('button', { type: 'button', onclick: () => open(chat.id) }, nameOf(chat))
    if (chat.id === current) button.setAttribute('aria-current', 'true')
    if (chat.unread_count > 0) button.append(element('b', {}, String(chat.unread_count)))
    return element('li', {}, button)
  }))
}

async function open(id) {
  current = id
  const chat = chats.get(id)
  $('title').textContent = chat ? nameOf(chat) : 'No chat yet'
  $('topic').textContent = chat?.description ?? ''
  $('timeline').replaceChildren()
  if (!chat) return
  const { items } = await api('GET', `/chats/${id}/messages?limit=100`)
  if (current !== id) return
  for (const message of items.reverse()) show(message)
  read(chat, items.at(-1))
  drawChats()
}

function show(message) {
  if (document.getElementById(`m${message.id}`)) return
  const author = people.get(message.sender_id)
  const log = $('timeline')
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40
  const time = element('time', { dateTime: message.created_at },
    new Date(message.created_at).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' }))
  log.append(element('li', { id: `m${message.id}` }, face(author),
    element('div', {}, element('strong', {}, author?.display_name ?? 'Somebody'), time, element('p', {}, message.content))))
  if (atEnd || message.sender_id === me.id) log.scrollTop = log.scrollHeight
}

function read(chat, message) {
  chat.unread_count = 0
  if (message && message.sender_id !== me.id) api('PUT', `/chats/${chat.id}/read`, { message_id: message.id }).catch(() => {})
}

function listen() {
  stream?.close()
  stream = new EventSource('/events')
  stream.onopen = () => { $('state').textContent = '● live' }
  stream.onerror = () => { $('state').textContent = '○ reconnecting…' }
  stream.addEventListener('message.new', event => {
    const { message } = JSON.parse(event.data)
    const chat = chats.get(message.chat_id)
    if (!chat) return
    if (message.chat_id === current) {
      show(message)
      read(chat, message)
    } else if (message.sender_id !== me.id) {
      chat.unread_count += 1
    }
    drawChats()
  })
  for (const type of ['chat.new', 'chat.added', 'chat.removed', 'chat.deleted', 'chat.updated', 'member.joined', 'reset']) {
    stream.addEventListener(type, () => load())
  }
}

$('signin').onsubmit = event => {
  event.preventDefault()
  signin(Object.fromEntries(new FormData(event.target)))
}
$('signout').onclick = async () => {
  stream.close()
  await api('POST', '/signout').catch(() => {})
  delete sessionStorage.refresh_token
  location.reload()
}
$('composer').onsubmit = async event => {
  event.preventDefault()
  const content = $('text').value
  if (!content.trim() || !current) return
  const nonce = Array.from(crypto.getRandomValues(new Uint8Array(12)), byte => byte.toString(16).padStart(2, '0')).join('')
  $('text').value = ''
  try {
    show(await api('POST', `/chats/${current}/messages`, { content, nonce }))
  } catch (error) {
    $('text').value = content
    $('state').textContent = error.message
  }
}
$('text').onkeydown = event => {
  if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
    event.preventDefault()
    $('composer').requestSubmit()
  }
}

if (await refresh()) await enter()
else await welcome()
