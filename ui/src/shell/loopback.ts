/** Whether a host is this computer, where the coordinator gives no cookie. */
export function isLoopback(host: string): boolean {
  return /^(localhost\.?|127(\.\d{1,3}){3}|\[::1\])$/i.test(host);
}
